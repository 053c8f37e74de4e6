package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

// installed returns where Java, the jars of a server and its properties are. The
// test is skipped without the first two.
func installed(t *testing.T) (java, jars, properties string) {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("no real Eureka: no Java is installed (Debian package default-jre-headless)")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no real Eureka: ", err)
	}
	jars = filepath.Join(cache, "edgecache", "eureka")
	if _, err := os.Stat(jars); err != nil {
		t.Skip("no real Eureka: its jars are not installed (scripts/install-eureka)")
	}
	if properties, err = filepath.Abs("../server/application.properties"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(properties); err != nil { // go test remembers results by what the test itself opened
		t.Fatal(err)
	}
	return java, filepath.Join(jars, "*"), properties
}

// eureka starts a real server with properties beside its file's, and returns the
// base of its API.
func eureka(t *testing.T, more ...string) string {
	t.Helper()
	java, jars, properties := installed(t)
	command := exec.Command(java, append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jars,
		"org.springframework.boot.SpringApplication", "--spring.config.location=file:" + properties}, more...)...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ports, done := make(chan string, 1), make(chan string, 1)
	go func() { done <- tail(output, ports) }()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		said := <-done
		_ = command.Wait() // which says that it was killed
		if t.Failed() {
			t.Log(said)
		}
	})
	select {
	case at := <-ports:
		return "http://127.0.0.1:" + at + "/eureka"
	case said := <-done:
		done <- said
		t.Fatal("Eureka ended")
	case <-time.After(3 * time.Minute):
		t.Fatal("Eureka does not start within 3 minutes")
	}
	return ""
}

var port = regexp.MustCompile(`Tomcat started on port (\d+)`)

// tail reads what a server says until it ends, tells its port, and returns the last
// lines.
func tail(output io.Reader, ports chan<- string) string {
	var last []string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if found := port.FindStringSubmatch(lines.Text()); found != nil {
			ports <- found[1]
		}
		last = append(last[max(0, len(last)-30):], lines.Text())
	}
	return strings.Join(last, "\n")
}

// does sends a request of a client or operator.
func does(t *testing.T, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s, %v", method, url, response.Status, text, err)
	}
	return string(text)
}

func register(t *testing.T, base, app, id, address string) {
	t.Helper()
	does(t, "POST", base+"/apps/"+app, fmt.Sprintf(`{"instance":{"instanceId":%q,"hostName":"%s.example","app":%q,"ipAddr":%q,"status":"UP",
		"port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"vipAddress":"v","homePageUrl":"http://%s.example:8080/",
		"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},"metadata":{"zone":"eu-1a"},
		"leaseInfo":{"durationInSecs":3600,"renewalIntervalInSecs":3600}}}`, id, id, app, address, id))
}

func begin(t *testing.T, url string) {
	t.Helper()
	if err := edgecache.Start(fmt.Sprintf(`{"url":%q}`, url)); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	edgecache.Live(client)
}

// follows polls once, and returns the next cursor.
func follows(t *testing.T, cursor, want string) string {
	t.Helper()
	f := edgecache.Follow(cursor)
	if got := heard(t, f); got != want {
		t.Errorf("the poll of cursor %q told %s, want %s", cursor, got, want)
	}
	return f.Cursor
}

// TestARealServer runs the adapter against Eureka itself.
func TestARealServer(t *testing.T) {
	base := eureka(t)
	next := func(cursor, want string) string { return follows(t, cursor, want) }
	begin(t, base)
	if got := got(t, edgecache.Lookup("web", "")); got != "not found" {
		t.Errorf("nothing is registered, and web is %s", got)
	}
	cursor := next("", "1")
	register(t, base, "WEB", "web-1", "10.0.0.1")
	register(t, base, "WEB", "web-2", "10.0.0.2")
	register(t, base, "DB", "db-1", "10.0.0.3")
	cursor = next(cursor, "upsert db db-1=passing; upsert web web-1=passing web-2=passing; 2")
	cursor = next(cursor, "3")
	does(t, "PUT", base+"/apps/WEB/web-2/status?value=OUT_OF_SERVICE", "")
	cursor = next(cursor, "upsert web web-1=passing web-2=maintenance; 4")
	does(t, "DELETE", base+"/apps/DB/db-1", "")
	cursor = next(cursor, "delete db; 5")
	does(t, "PUT", base+"/apps/WEB/web-1/metadata?color=blue", "")
	next(cursor, "upsert web web-1=passing web-2=maintenance; 6")
	if asked := strings.Join(edgecache.Requested(), "\n") + "\n"; strings.Count(asked, "/apps\n") != 1 {
		t.Errorf("all was read more than once:\n%s", asked)
	}

	for _, name := range []string{"web", "WEB", "Web"} {
		const want = ` {"id":"web-1","address":"10.0.0.1","port":8080,"url":"http://web-1.example:8080/","health":"passing","weight":1,"zone":"eu-1a",` +
			`"node":"web-1.example","metadata":{"color":"blue","vipAddress":"v","zone":"eu-1a"},"registered":"`
		if got := got(t, edgecache.Lookup(name, "")); !strings.HasPrefix(got, name+want) || !strings.Contains(got, `"health":"maintenance"`) {
			t.Errorf("%s is\n%s, want\n%s%s", name, got, name, want)
		}
	}
	if got := got(t, edgecache.Lookup("db", "")); got != "not found" {
		t.Errorf("db, which is gone, is %s", got)
	}
	if names, err := edgecache.List(); err != nil || fmt.Sprint(names) != "[web]" {
		t.Errorf("the list is %q, %v", names, err)
	}

	begin(t, "http://127.0.0.1:1/eureka, "+base)
	next("", "upsert web web-1=passing web-2=maintenance; 1")
	begin(t, strings.TrimSuffix(base, "/eureka"))
	if got := got(t, edgecache.Lookup("db", "")); !strings.Contains(got, "url should end in the path of Eureka's API") {
		t.Errorf("of a base that is not Eureka's: %s", got)
	}
}

// TestARealServerThatForgets follows one whose changes are soon forgotten: only
// their hash tells that there were some.
func TestARealServerThatForgets(t *testing.T) {
	base := eureka(t, "--eureka.server.retention-time-in-m-s-in-delta-queue=0", "--eureka.server.delta-retention-timer-interval-in-ms=50",
		"--eureka.server.response-cache-auto-expiration-in-seconds=1")
	register(t, base, "WEB", "web-1", "10.0.0.1")
	begin(t, base)
	first := edgecache.Follow("")
	register(t, base, "DB", "db-1", "10.0.0.2")
	deadline := time.Now().Add(time.Minute)
	for strings.Contains(does(t, "GET", base+"/apps/delta", ""), "db-1") {
		if time.Now().After(deadline) {
			t.Fatal("it does not forget within a minute")
		}
		time.Sleep(50 * time.Millisecond) // so that it is not asked all the time
	}
	if got := heard(t, edgecache.Follow(first.Cursor)); got != "again ; upsert db db-1=passing; upsert web web-1=passing; 2" {
		t.Errorf("it told %s", got)
	}
	if said := strings.Join(edgecache.Logged(), "\n"); said != base+" counts UP_2_, here are UP_1_: all has to be read anew" {
		t.Errorf("it logged %s", said)
	}
}
