//go:build !wasip1

package edgecache

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

func TestARecordSaysWhatWasSet(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 5e6, time.FixedZone("", 3600))
	r := NewRecord("web").Metadata("owner", "me").Tags("a", "b").TTL(time.Minute).StaleWhileRevalidate(2 * time.Second).StaleIfError(time.Hour).NoStore().
		Document([]byte(`{"as":["it","is"]}`))
	r.Instance("a").Address("10.0.0.1").Port(1).Port(8080).Protocol("http").TLS(true).URL("https://a/").Health(Passing).Weight(0.5).Priority(3).
		Version("1.2.3").Node("n").Region("eu").Zone("").Zone("eu-1a").Tags("x").Tags("y").Metadata("k", "old").Metadata("k", "v").Metadata("l", "").Registered(at)
	r.Instance("b").Address("::1").Zone("x").Zone("").Node("").Weight(-1).Registered(time.Time{})
	r.Version("1").Status("active").Labels("latest").Metadata("k", "v").Updated(at).Document([]byte("[1]"))
	r.Version("0")
	const want = `{"name":"web","instances":[` +
		`{"id":"a","address":"10.0.0.1","port":8080,"protocol":"http","tls":true,"url":"https://a/","health":"passing","weight":0.5,"priority":3,` +
		`"version":"1.2.3","node":"n","region":"eu","zone":"eu-1a","registered":"2026-01-31T11:00:00.005Z","tags":["x","y"],"metadata":{"k":"v","l":""}},` +
		`{"id":"b","address":"::1"}],"metadata":{"owner":"me"},"tags":["a","b"],` +
		`"versions":[{"version":"1","status":"active","updated":"2026-01-31T11:00:00.005Z","document":[1],"labels":["latest"],"metadata":{"k":"v"}},{"version":"0"}],` +
		`"ttl_ms":60000,"stale_while_revalidate_ms":2000,"stale_if_error_ms":3600000,"no_store":true,"document":{"as":["it","is"]}}`
	if got := string(r.JSON()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(NewRecord("none").JSON()); got != `{"name":"none","instances":[]}` {
		t.Errorf("an empty record is %s", got)
	}
}

func TestEndpoints(t *testing.T) {
	r := NewRecord("web")
	in := r.Instance("a").Address("10.0.0.1")
	in.Endpoint("grpc").Port(9090).Protocol("grpc")
	in.Endpoint("web").Address("h").TLS(true).URL("https://h/")
	in.Zone("z")
	r.Instance("b").Address("10.0.0.2")
	const want = `{"name":"web","instances":[{"id":"a","address":"10.0.0.1","endpoints":[{"name":"grpc","port":9090,"protocol":"grpc"},{"name":"web","address":"h","tls":true,"url":"https://h/"}],"zone":"z"},` +
		`{"id":"b","address":"10.0.0.2"}]}`
	if got := string(r.JSON()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestManyInstances(t *testing.T) {
	r := NewRecord("web")
	first := r.Instance("0")
	for i := 1; i < 1000; i++ {
		r.Instance(strconv.Itoa(i)).Port(uint16(i))
	}
	first.Port(9) // it is where it was
	var got struct {
		Instances []struct {
			ID   string
			Port int
		}
	}
	if err := json.Unmarshal(r.JSON(), &got); err != nil || len(got.Instances) != 1000 {
		t.Fatalf("%d instances, %v", len(got.Instances), err)
	}
	for i, in := range got.Instances {
		if want := max(i, 9-9*min(i, 1)); in.ID != strconv.Itoa(i) || in.Port != want {
			t.Errorf("instance %d is %+v, want port %d", i, in, want)
		}
	}
}

func TestWhatARecordSaidStays(t *testing.T) {
	first := NewRecord("one").JSON()
	NewRecord("other").JSON()
	if string(first) != `{"name":"one","instances":[]}` {
		t.Errorf("it is now %s", first)
	}
}

func FuzzStrings(f *testing.F) {
	f.Add("a\"b\\c\x00\n\u2028\xff\U0001f600\x7f")
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		b, _ := json.Marshal(s)
		if err := json.Unmarshal(b, &want); err != nil || got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	})
}
