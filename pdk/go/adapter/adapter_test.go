//go:build !wasip1

package edgecache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func registered(lookup func(name, held string) (Answer, error), list func(string) ([]string, string, error), poll func(*Poll) (time.Duration, error)) {
	Adapter(nil, lookup, list, poll)
	if err := Start(""); err != nil {
		panic(err)
	}
}

func TestWhatALookupEndsIn(t *testing.T) {
	for _, c := range []struct {
		answer Answer
		err    error
		want   Result
	}{
		{answer: Found([]byte(`{"name":"web"}`), "v2"), want: Result{Record: `{"name":"web"}`, Version: "v2"}},
		{answer: Found([]byte(`{}`), ""), want: Result{Record: `{}`}},
		{answer: NotModified(), want: Result{NotModified: true}},
		{answer: NotFound(), want: Result{NotFound: true}},
		{err: Failed(ErrRateLimited, "too often, says %s", "it"), want: Result{Code: ErrRateLimited, Error: "too often, says it"}},
		{err: fmt.Errorf("web: %w", Failed(ErrTimeout, "late")), want: Result{Code: ErrTimeout, Error: "web: late"}},
		{err: errors.New("what?"), want: Result{Code: ErrInternal, Error: "what?"}},
		{err: errNotFound, want: Result{Code: ErrInternal, Error: "not found"}},
		{want: Result{Code: ErrInternal, Error: "lookup returned no answer: Found, NotModified, NotFound or an error expected"}},
	} {
		var asked string
		registered(func(name, held string) (Answer, error) {
			asked = name + " " + held
			return c.answer, c.err
		}, nil, nil)
		if got := Lookup("web", "v1"); got != c.want || asked != "web v1" {
			t.Errorf("of %+v, %v: asked %q, got %+v, want %+v", c.answer, c.err, asked, got, c.want)
		}
	}
}

func TestStart(t *testing.T) {
	long := strings.Repeat("x", 500)
	found := func(string, string) (Answer, error) { return NotFound(), nil }
	Adapter(func() error {
		for pointer, want := range map[string]string{"/a": "x", "/b/1/c~1d": "true", "/long": long, "/b/0": "5", "/n": "null", "": `{"a"`, "/e/": "empty"} {
			if got, ok := Config(pointer); !ok || !strings.HasPrefix(got, want) {
				t.Errorf("Config(%q) is %q, %t, want %q", pointer, got, ok, want)
			}
		}
		for _, pointer := range []string{"/z", "/b/2", "/b/-1", "/a/b", "a"} {
			if got, ok := Config(pointer); ok {
				t.Errorf("Config(%q) is %q, want none", pointer, got)
			}
		}
		Log(Info, "started")
		return errors.New("a: not x expected")
	}, found, nil, nil)
	config := fmt.Sprintf(`{"a":"x","b":[5,{"c/d":true}],"long":%q,"n":null,"e":{"":"empty"}}`, long)
	if err := Start(config); err == nil || err.Error() != "a: not x expected" {
		t.Errorf("with an error: %v", err)
	}
	if got := Logged(); !slices.Equal(got, []string{"started"}) {
		t.Errorf("logged %q", got)
	}
	Adapter(nil, nil, nil, nil)
	if err := Start(""); err == nil || !strings.Contains(err.Error(), "without a lookup") {
		t.Errorf("without a lookup: %v", err)
	}
	defer func() { exportsList, exportsPoll = false, false }()
	exportsList = true
	Adapter(nil, found, nil, nil)
	if err := Start(""); err == nil || !strings.Contains(err.Error(), "-tags nolist") {
		t.Errorf("without the list that it exports: %v", err)
	}
	exportsList, exportsPoll = false, true
	if err := Start(""); err == nil || !strings.Contains(err.Error(), "-tags nopoll") {
		t.Errorf("without the poll that it exports: %v", err)
	}
}

func TestListsGoOnByTheirCursor(t *testing.T) {
	many := make([]string, 20_000)
	for i := range many {
		many[i] = fmt.Sprintf("service-%d", i)
	}
	registered(func(string, string) (Answer, error) { return NotFound(), nil }, func(cursor string) ([]string, string, error) {
		switch cursor {
		case "":
			return many, "more", nil
		case "more":
			return nil, "end", nil
		}
		return []string{"last"}, "", nil
	}, nil)
	if names, err := List(); err != nil || !slices.Equal(names, append(slices.Clone(many), "last")) {
		t.Errorf("%d names, %v, want %d", len(names), err, len(many)+1)
	}
	adapter.list = func(string) ([]string, string, error) { return []string{"a\nb"}, "", nil }
	if _, err := List(); !errors.Is(err, ErrInvalid) {
		t.Errorf("with a line feed: %v", err)
	}
	adapter.list = func(string) ([]string, string, error) { return nil, "", Failed(ErrDenied, "no") }
	if _, err := List(); !errors.Is(err, ErrDenied) || err.Error() != "no" {
		t.Errorf("with an error: %v", err)
	}
}

func TestPolls(t *testing.T) {
	registered(func(string, string) (Answer, error) { return NotFound(), nil }, nil, func(p *Poll) (time.Duration, error) {
		if p.Cursor == "broken" {
			p.Upsert("web", []byte("{"))
			return 0, nil
		}
		if p.Cursor == "lost" {
			return 0, Failed(ErrUnavailable, "lost")
		}
		p.Again()
		p.Upsert("web", []byte("{}"))
		p.Delete("gone")
		p.Invalidate("db")
		p.Next(p.Cursor + "7")
		return 1500 * time.Millisecond, nil
	})
	f := Follow("1")
	want := []Emit{{"again", "", ""}, {"upsert", "web", "{}"}, {"delete", "gone", ""}, {"invalidate", "db", ""}}
	if !slices.Equal(f.Emits, want) || f.Cursor != "17" || f.Wait != 1500*time.Millisecond || f.Error != "" {
		t.Errorf("got %+v", f)
	}
	if f := Follow("broken"); f.Code != ErrInvalid || f.Error != "the host refuses a change of web" {
		t.Errorf("of a record that is none: %+v", f)
	}
	if f := Follow("lost"); f.Code != ErrUnavailable || f.Error != "lost" {
		t.Errorf("of one that fails: %+v", f)
	}
}

func TestWhatIsKept(t *testing.T) {
	registered(func(string, string) (Answer, error) { return NotFound(), nil }, nil, nil)
	long := []byte(strings.Repeat("x", 1000))
	if err := errors.Join(KVSet("a", long, 0), KVSet("b", []byte("1"), time.Hour), KVSet("c", nil, 0)); err != nil {
		t.Fatal(err)
	}
	KVDel("b")
	if value, ok := KVGet("a"); !ok || string(value) != string(long) {
		t.Errorf("a is %q, %t", value, ok)
	}
	if value, ok := KVGet("c"); !ok || len(value) != 0 {
		t.Errorf("c is %q, %t", value, ok)
	}
	if value, ok := KVGet("b"); ok {
		t.Errorf("b is %q, want none", value)
	}
	if err := KVSet("d", make([]byte, 64<<10+1), 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("of a value that is too large: %v", err)
	}
}
