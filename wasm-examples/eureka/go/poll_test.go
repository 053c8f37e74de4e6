package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

// heard writes what a poll told in a few words.
func heard(t *testing.T, f edgecache.Followed) string {
	t.Helper()
	if f.Code != 0 {
		return f.Code.Error() + ": " + f.Error
	}
	var b strings.Builder
	for _, e := range f.Emits {
		fmt.Fprint(&b, e.Op, " ", e.Name)
		if e.Op == "upsert" {
			for in := range strings.SplitSeq(written(t, e.Record), `{"id":"`) {
				if id, rest, ok := strings.Cut(in, `"`); ok {
					_, rest, _ = strings.Cut(rest, `"health":"`)
					health, _, _ := strings.Cut(rest, `"`)
					fmt.Fprint(&b, " ", id, "=", health)
				}
			}
		}
		b.WriteString("; ")
	}
	return b.String() + f.Cursor
}

func changed(instance, action string, updated int) string {
	return strings.TrimSuffix(instance, "}") + fmt.Sprintf(`,"actionType":%q,"lastUpdatedTimestamp":"%d"}`, action, updated)
}

// An exchanged is a poll: what the server answers for all and to the question for changes,
// "" if it is not asked, and what is told of it.
type exchanged struct{ all, delta, want string }

const (
	updated   = `"lastUpdatedTimestamp":100`
	beginning = "upsert db c=passing; upsert web a=passing b=critical; "
)

var begins = all(1, "DOWN_1_UP_2_", app("WEB", one("a", "UP", updated), one("b", "DOWN", updated)), app("DB", one("c", "UP", updated)))

var watches = []struct {
	name  string
	steps []exchanged
}{
	{"nothing changes", []exchanged{{begins, "", beginning + "1"}, {"", all(1, "DOWN_1_UP_2_"), "2"}, {"", all(1, "DOWN_1_UP_2_"), "3"}}},
	{"a change is told once", []exchanged{{begins, "", beginning + "1"},
		{"", all(2, "OUT_OF_SERVICE_1_UP_2_", app("WEB", changed(one("b", "OUT_OF_SERVICE"), "MODIFIED", 200))), "upsert web a=passing b=maintenance; 2"},
		{"", all(2, "OUT_OF_SERVICE_1_UP_2_", app("WEB", changed(one("b", "OUT_OF_SERVICE"), "MODIFIED", 200))), "3"}}},
	{"instances and applications come and go", []exchanged{{begins, "", beginning + "1"},
		{"", all(2, "DOWN_1_STARTING_1_UP_2_", app("WEB", changed(one("d", "STARTING"), "ADDED", 200), changed(one("a", "UP"), "DELETED", 200)), app("New", changed(one("e", "UP"), "ADDED", 200))),
			"upsert new e=passing; upsert web b=critical d=critical; 2"},
		{"", all(3, "DOWN_1_STARTING_1_UP_1_", app("DB", changed(one("c", "UP"), "DELETED", 300)), app("GONE", changed(one("x", "UP"), "DELETED", 300))), "delete db; 3"}}},
	{"what is older is not told", []exchanged{{begins, "", beginning + "1"},
		{"", all(2, "DOWN_1_UP_2_", app("WEB", changed(one("a", "DOWN"), "MODIFIED", 50), changed(one("b", "DOWN"), "DELETED", 50))), "2"}}},
	{"a hash that differs", []exchanged{{begins, "", beginning + "1"},
		{all(1, "UP_1_", app("WEB", one("a", "UP"))), all(2, "UP_1_"), "again ; upsert web a=passing; 2"},
		{"", all(3, "UP_2_"), "3"}, // once in two polls
		{all(1, "UP_2_", app("WEB", one("a", "UP"), one("b", "UP"))), all(3, "UP_2_"), "again ; upsert web a=passing b=passing; 4"}}},
	{"a server that was started again", []exchanged{{begins, "", beginning + "1"}, {"", all(7, "DOWN_1_UP_2_"), "2"},
		{begins, all(2, "DOWN_1_UP_2_"), "again ; " + beginning + "3"}}},
	{"changes are switched off", []exchanged{{begins, "", beginning + "1"},
		{all(1, "", app("WEB", one("a", "UP"), one("b", "UP"))), "403", "upsert web a=passing b=passing; delete db; 2"},
		{all(1, "", app("WEB", one("a", "UP"), one("b", "UP"))), "404", "3"}}},
	{"changes without a hash", []exchanged{{begins, "", beginning + "1"}, {begins, `{"applications":{"application":null}}`, "2"}}},
	{"one change that is no list", []exchanged{{begins, "", beginning + "1"},
		{"", `{"applications":{"versions__delta":2,"apps__hashcode":"UP_3_","application":{"name":"WEB","instance":` + changed(one("b", "UP"), "MODIFIED", 200) + `}}}`,
			"upsert web a=passing b=passing; 2"}}},
	{"nothing of it can be read", []exchanged{{begins, "", beginning + "1"},
		{"", all(2, "DOWN_1_UP_2_", app("DB", changed(one("c", "UP", `"port":{"$":-1}`), "MODIFIED", 200))), "2"}}},
	{"changes that make no sense", []exchanged{{begins, "", beginning + "1"},
		{"", "<html>", "internal error: GET " + base + "/apps/delta: no JSON at byte 1: a value expected"}}},
	{"no answer", []exchanged{{"503", "", "unavailable: GET " + base + "/apps: 503"}}},
	{"starting", []exchanged{{"403", "", "unavailable: GET " + base + "/apps: 403, as of a server that is starting"}}},
	{"names that edgecache does not have", []exchanged{{all(1, "UP_2_", app("A//B", one("a", "UP")), app("B", one("b", "UP"))), "", "upsert b b=passing; 1"},
		{"", all(2, "UP_1_", app("A//B", changed(one("a", "UP"), "DELETED", 2))), "2"}}},
}

// TestPolls tells watches, poll by poll.
func TestPolls(t *testing.T) {
	for _, c := range watches {
		started(t, url)
		cursor := ""
		for i, s := range c.steps {
			edgecache.Exchanges(answered("/apps", s.all), answered("/apps/delta", s.delta))
			before := len(edgecache.Requested())
			f := edgecache.Follow(cursor)
			if g := heard(t, f); g != s.want {
				t.Errorf("%s, poll %d:\ngot  %s\nwant %s", c.name, i+1, g, s.want)
			}
			asked := strings.Join(edgecache.Requested()[before:], " ")
			if strings.Contains(asked+" ", "/apps ") != (s.all != "") || strings.Contains(asked, "delta") != (s.delta != "") {
				t.Errorf("%s, poll %d: it asked for %s", c.name, i+1, asked)
			}
			cursor = f.Cursor
		}
	}
}

// answered is an answer, or a status if it is a number.
func answered(path, answer string) edgecache.Exchange {
	var code int
	if _, err := fmt.Sscan(answer, &code); err == nil {
		return status(path, code)
	}
	return at(path, answer)
}

func TestACursorOfAnotherInstanceBeginsAnew(t *testing.T) {
	started(t, url, at("/apps", all(1, "UP_1_", app("WEB", one("a", "UP")))))
	if g := heard(t, edgecache.Follow("77")); g != "again ; upsert web a=passing; 78" {
		t.Errorf("got %s", g)
	}
	if g := heard(t, edgecache.Follow("")); g != "upsert web a=passing; 1" {
		t.Errorf("a new watch got %s", g)
	}
}

func TestAnotherServersChangesAreNotApplied(t *testing.T) {
	const other = "http://other.test/eureka"
	first := at("/apps/delta", "")
	first.Error = edgecache.ErrUnavailable
	started(t, `{"url":["`+base+`","`+other+`"],"poll_ms":5000}`, at("/apps", all(1, "UP_1_", app("WEB", one("a", "UP")))), first,
		edgecache.Exchange{Request: "GET " + other + "/apps/delta", Answer: all(1, "UP_1_")},
		edgecache.Exchange{Request: "GET " + other + "/apps", Answer: all(1, "UP_1_", app("WEB", one("b", "UP")))})
	f := edgecache.Follow("")
	if f.Wait != 5*time.Second {
		t.Errorf("it waits %v", f.Wait)
	}
	if g := heard(t, edgecache.Follow(f.Cursor)); g != "again ; upsert web b=passing; 2" {
		t.Errorf("got %s", g)
	}
	if g := heard(t, edgecache.Follow("2")); g != "3" {
		t.Errorf("then got %s", g)
	}
}

func TestSmallAndCapitalLetters(t *testing.T) {
	started(t, `{"url":"`+base+`","names":"upper"}`, at("/apps", all(1, "UP_1_", app("Web", one("a", "UP")))),
		at("/apps/delta", all(2, "DOWN_1_", app("WEB", changed(one("a", "DOWN"), "MODIFIED", 5)))))
	first, second := edgecache.Follow(""), edgecache.Follow("1")
	if g := heard(t, first) + " " + heard(t, second); g != "upsert WEB a=passing; 1 upsert WEB a=critical; 2" {
		t.Errorf("got %s", g)
	}
}
