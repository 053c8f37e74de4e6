package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"web": "", "a/b/c": "", "Ünïcode": "", "a%2Fb": "", "a+b c": "", "...": "", strings.Repeat("a", 512): "",
		"":                       "name is empty",
		"a\xffb":                 "name is not valid UTF-8",
		"a\nb":                   "name has the control character 0x0a at byte 1",
		"a\x7f":                  "name has the control character 0x7f at byte 1",
		"a\u0085":                "name has a control character",
		"/a":                     "name has an empty segment; write it without a leading, trailing or doubled /",
		"a/":                     "name has an empty segment; write it without a leading, trailing or doubled /",
		"a//b":                   "name has an empty segment; write it without a leading, trailing or doubled /",
		"a/../b":                 `name has the segment ".."`,
		".":                      `name has the segment "."`,
		strings.Repeat("a", 513): "name has 513 bytes, the most is 512",
	} {
		got := ""
		if err := registry.CheckName(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("CheckName(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("a/b")
	f.Add("a/../\u0085")
	f.Fuzz(func(t *testing.T, name string) {
		if registry.CheckName(name) != nil {
			return
		}
		for _, segment := range strings.Split(name, "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Errorf("CheckName(%q) accepts the segment %q", name, segment)
			}
		}
		if len(name) > 512 || strings.ToValidUTF8(name, "") != name || strings.ContainsAny(name, "\x00\r\n\x7f") {
			t.Errorf("CheckName accepts %q", name)
		}
	})
}

func TestCheckLabel(t *testing.T) {
	for label, ok := range map[string]bool{
		"consul": true, "eu-1.b": true, strings.Repeat("a", 63): true,
		"": false, "Consul": false, "a_b": false, "a/b": false, "é": false, strings.Repeat("a", 64): false,
	} {
		if err := registry.CheckLabel(label); (err == nil) != ok {
			t.Errorf("CheckLabel(%q) = %v", label, err)
		}
	}
}

func TestKeyAndKind(t *testing.T) {
	for want, k := range map[string]registry.Key{"web": {Name: "web"}, "consul/a/b": {Registry: "consul", Name: "a/b"}} {
		if k.String() != want {
			t.Errorf("%+v prints as %s, want %s", k, k, want)
		}
	}
	for _, s := range []string{"service", "agent", "mcp"} {
		if k, err := registry.ParseKind(s); err != nil || string(k) != s {
			t.Errorf("ParseKind(%s) = %s, %v", s, k, err)
		}
	}
	if _, err := registry.ParseKind(""); err == nil {
		t.Error("ParseKind of nothing is no error")
	}
}

func TestRevisionsCompareByEpochThenOrder(t *testing.T) {
	rev := func(epoch, order uint64) registry.Revision {
		return registry.Revision{Epoch: epoch, Order: order, Token: "t"}
	}
	for _, test := range []struct {
		a, b    registry.Revision
		want    int
		ordered bool
	}{
		{rev(0, 1), rev(0, 2), -1, true},
		{rev(0, 2), rev(0, 2), 0, true},
		{rev(0, 3), rev(0, 2), 1, true},
		{rev(1, 1), rev(0, 9), 1, true},
		{rev(0, 9), rev(1, 1), -1, true},
		{rev(1, 0), rev(0, 9), 0, false},
		{registry.Revision{}, registry.Revision{}, 0, false},
	} {
		if got, ordered := test.a.Compare(test.b); got != test.want || ordered != test.ordered {
			t.Errorf("%+v to %+v: %d, %v, want %d, %v", test.a, test.b, got, ordered, test.want, test.ordered)
		}
	}
	if got := (registry.Revision{Token: "x"}).String() + rev(1, 5).String() + (registry.Revision{}).String(); got != "x5" {
		t.Errorf("revisions print as %q, want x5", got)
	}
}

func TestSelectorCovers(t *testing.T) {
	key := registry.Key{Registry: "consul", Name: "team/web"}
	in := func(registryName, name string) registry.Key { return registry.Key{Registry: registryName, Name: name} }
	for _, test := range []struct {
		name     string
		selector registry.Selector
		want     bool
	}{
		{"nothing", registry.Selector{}, false},
		{"all", registry.Selector{All: true}, true},
		{"name", registry.Selector{Key: in("", "team/web")}, true},
		{"name in the registry", registry.Selector{Key: in("consul", "team/web")}, true},
		{"name in another registry", registry.Selector{Key: in("file", "team/web")}, false},
		{"other name", registry.Selector{Key: in("consul", "team")}, false},
		{"registry", registry.Selector{Key: in("consul", "")}, true},
		{"other registry", registry.Selector{Key: in("file", "")}, false},
		{"all of another registry", registry.Selector{Key: in("file", ""), All: true}, false},
		{"tag", registry.Selector{Tag: "eu"}, true},
		{"other tag", registry.Selector{Tag: "e"}, false},
		{"tag in another registry", registry.Selector{Key: in("file", ""), Tag: "eu"}, false},
		{"prefix", registry.Selector{Prefix: "team/"}, true},
		{"prefix in the registry", registry.Selector{Key: in("consul", ""), Prefix: "te"}, true},
		{"other prefix", registry.Selector{Key: in("consul", ""), Prefix: "web"}, false},
	} {
		if got := test.selector.Covers(key, []string{"payments", "eu"}); got != test.want {
			t.Errorf("%s: covers %v, want %v", test.name, got, test.want)
		}
	}
	if (registry.Selector{Tag: "eu"}).Covers(key, nil) {
		t.Error("a tag covers an absence")
	}
}

func TestModes(t *testing.T) {
	for s, want := range map[string]registry.Mode{"": registry.ModeVerify, "soft": registry.ModeSoft, "verify": registry.ModeVerify, "hard": registry.ModeHard} {
		got, err := registry.ParseMode(s)
		if err != nil || got != want || s != "" && got.String() != s {
			t.Errorf("ParseMode(%q) = %s, %v, want %s", s, got, err, want)
		}
	}
	if _, err := registry.ParseMode("none"); err == nil {
		t.Error("ParseMode(none) is no error")
	}
	if registry.ModeSoft >= registry.ModeVerify || registry.ModeVerify >= registry.ModeHard {
		t.Error("the modes are not in the order of strictness")
	}
}

func TestGlobs(t *testing.T) {
	for _, test := range []struct {
		glob, s string
		want    bool
	}{
		{"*", "", true}, {"*", "a/b", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*b", "ab", true}, {"*b", "abc", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c", false}, {"", "", true}, {"", "a", false},
		{"[a]", "[a]", true}, {"[a]", "a", false}, {"**", "x", true}, {"team/*", "team/", true}, {"abc", "ab", false},
	} {
		if got := registry.Match(test.glob, test.s); got != test.want {
			t.Errorf("Match(%q, %q) = %v, want %v", test.glob, test.s, got, test.want)
		}
	}
	if !registry.MatchAny(nil, "x") || registry.MatchAny([]string{"a", "b*"}, "x") || !registry.MatchAny([]string{"a", "x*"}, "x") {
		t.Error("MatchAny: none matches everything, else one must match")
	}
}

func TestReadThroughTravelsInTheContext(t *testing.T) {
	if registry.IsReadThrough(t.Context()) || !registry.IsReadThrough(context.WithoutCancel(registry.ReadThrough(t.Context()))) {
		t.Error("ReadThrough is not seen, or seen without being asked")
	}
}
