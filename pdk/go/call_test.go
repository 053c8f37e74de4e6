package edgecache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func samples(n int) (list []Sample) {
	for i := range n {
		list = append(list, Sample{
			ID: fmt.Sprint("id", i), Address: fmt.Sprint("10.0.0.", i), Zone: "a", Version: "1.2.3", Port: uint16(i), Weight: 7, Health: Passing,
			TLS: i == 1, Meta: []any{fmt.Sprint("m", i), nil, ""},
		})
	}
	return list
}

func TestWhatACallSays(t *testing.T) {
	var got string
	Filter(nil, func(c *Call) Verdict {
		header, _ := c.Attribute(0)
		_, there := c.Attribute(1)
		number, _ := c.Number(2)
		_, beyond := c.Attribute(3)
		in := c.At(1)
		meta, _ := in.Meta(0)
		_, absent := in.Meta(1)
		_, empty := in.Meta(2)
		got = fmt.Sprint(c.Name(), c.Now(), c.TooLong(), c.Count(), " ", header, there, number, beyond, " ", in.ID(), in.Address(), in.Zone(), in.Version(),
			in.Port(), in.Weight(), in.Health() == Passing, in.TLS(), in.ZoneHash() == ZoneHash("a"), meta, absent, empty)
		return Pass.Cacheable()
	})
	r := Request{Name: "web", Attributes: []any{"h", nil, uint32(5)}, Instances: samples(2), Now: 9, TooLong: true}
	d := r.Decide()
	if want := "web9 true 2 hfalse 5 false id110.0.0.1a1.2.31 7 true true truem1false true"; got != want {
		t.Errorf("the call says %q, want %q", got, want)
	}
	if !slices.Equal(d.Kept, []int{0, 1}) || d.Verdict != 1<<8 {
		t.Errorf("Pass.Cacheable() is %+v", d)
	}
}

func TestVerdicts(t *testing.T) {
	for _, n := range []int{3, 32, 33, 1000} {
		r := Request{Instances: make([]Sample, n)}
		Filter(nil, func(c *Call) Verdict {
			k := c.Keep()
			k.Add(n - 1)
			k.Add(0)
			k.Add(0)
			if k.Len() != 2 {
				t.Errorf("%d are kept, want 2", k.Len())
			}
			return k.Verdict()
		})
		if d := r.Decide(); !slices.Equal(d.Kept, []int{0, n - 1}) {
			t.Errorf("of %d: kept %v, want the first and the last", n, d.Kept)
		}
		Filter(nil, func(c *Call) Verdict {
			o := c.Order()
			o.Add(n - 1)
			o.Add(1)
			return o.Verdict().Final()
		})
		if d := r.Decide(); !slices.Equal(d.Kept, []int{n - 1, 1}) || d.Verdict>>8&0xff != 2 {
			t.Errorf("of %d: %+v, want the last and the second, final", n, d)
		}
	}
	r := Request{}
	Filter(nil, func(c *Call) Verdict { return c.Deny(403, "no") })
	if d := r.Decide(); d.Status != 403 || d.Reason != "no" {
		t.Errorf("Deny is %+v", d)
	}
	Filter(nil, func(c *Call) Verdict { return c.Fail(7, "why") })
	if d := r.Decide(); d.Failure != "why" || d.Verdict != 255|7<<16 {
		t.Errorf("Fail is %+v", d)
	}
}

func TestStart(t *testing.T) {
	long := fmt.Sprintf("%0500d", 1)
	config := map[string]string{"/a": "x", "/long": long}
	Filter(func() error {
		a, _ := Config("/a")
		got, _ := Config("/long")
		if _, ok := Config("/b"); ok || a != "x" || got != long {
			t.Errorf("Config finds %q, %q, and b: %t", a, got, ok)
		}
		Log(Info, "started")
		return errors.New("a: not x expected")
	}, nil)
	if err := Start(config); err == nil || err.Error() != "no filter: edgecache.Filter was not called in an init function" {
		t.Errorf("without decide: %v", err)
	}
	Filter(starts, func(*Call) Verdict { return Pass })
	if err := Start(config); err == nil || err.Error() != "a: not x expected" {
		t.Errorf("with an error: %v", err)
	}
	if got := Logged(); !slices.Equal(got, []string{"started"}) {
		t.Errorf("logged %q", got)
	}
}

func TestTextsThatAreTheSame(t *testing.T) {
	text := "eu-1a"
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{text, text, true},
		{text, strings.Clone(text), true},
		{text, "eu-1b", false},
		{text, text[:4], false}, // where it begins is not enough
		{"", "", true},
		{"", text, false},
	} {
		if Same(row.a, row.b) != row.want {
			t.Errorf("%q and %q: want %t", row.a, row.b, row.want)
		}
	}
}

func TestKeepZoneKeepsThoseOfAZone(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 31, 32, 33, 64, 65, 1000} {
		r := Request{Attributes: []any{"b", nil, uint32(7)}, Instances: make([]Sample, n)}
		var want []int
		for i := range r.Instances {
			if r.Instances[i].Zone = []string{"a", "b", "bb", ""}[i%4]; i%4 == 1 {
				want = append(want, i)
			}
		}
		Filter(nil, func(c *Call) Verdict {
			zone, ok := c.Place(0)
			if !ok {
				t.Fatal("the zone has no place")
			}
			for i := range 3 {
				if _, ok := c.Place(i - 1); ok != (i == 1) {
					t.Errorf("attribute %d has a place: %t", i-1, ok)
				}
			}
			if _, ok := c.Place(2); ok {
				t.Error("a number has a place")
			}
			for i := range c.Count() {
				if (c.At(i).ZonePlace() == zone) != (c.At(i).Zone() == "b") {
					t.Errorf("instance %d, of zone %q, lies at %x, the client's zone at %x", i, c.At(i).Zone(), c.At(i).ZonePlace(), zone)
				}
			}
			k := c.KeepZone(zone)
			return k.Verdict()
		})
		if d := r.Decide(); !slices.Equal(d.Kept, want) {
			t.Errorf("of %d: kept %v, want %v", n, d.Kept, want)
		}
	}
}
