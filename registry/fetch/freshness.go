package fetch

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// wishes reads Cache-Control as a shared cache does. must-revalidate and
// proxy-revalidate are left out on purpose: many frameworks send them by
// default, and they would forbid to answer during an outage. Who means that
// says stale-if-error=0.
func wishes(h http.Header) registry.Freshness {
	w := registry.NoWishes
	shared, noCache := registry.Unsaid, false
	for _, line := range h.Values("Cache-Control") {
		for line != "" {
			var name, value string
			name, value, line = directive(line)
			switch name {
			case "max-age":
				first(&w.TTL, value)
			case "s-maxage":
				first(&shared, value)
			case "stale-while-revalidate":
				first(&w.StaleWhileRevalidate, value)
			case "stale-if-error":
				first(&w.StaleIfError, value)
			case "no-cache":
				noCache = true
			case "no-store", "private":
				w.NoStore = true
			}
		}
	}
	if shared != registry.Unsaid {
		w.TTL = shared
	}
	if w.TTL != registry.Unsaid {
		w.TTL = max(0, w.TTL-seconds(h.Get("Age"), 0))
	}
	if noCache {
		w.TTL = 0
	}
	return w
}

// first sets d to the value unless an earlier directive did or it is no number.
func first(d *time.Duration, value string) {
	if *d == registry.Unsaid {
		*d = seconds(value, registry.Unsaid)
	}
}

// seconds reads a number of seconds, huge ones as 2³¹-1; otherwise, if it is
// none.
func seconds(s string, otherwise time.Duration) time.Duration {
	s = strings.Trim(s, " \t")
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt32 {
		n = math.MaxInt32
	}
	return time.Duration(n) * time.Second
}

// directive cuts the first directive from a Cache-Control line. A value may be
// quoted and then hold commas.
func directive(line string) (name, value, rest string) {
	end := strings.IndexAny(line, ",=")
	if end < 0 {
		return lower(line), "", ""
	}
	name, rest = lower(line[:end]), line[end+1:]
	if line[end] == ',' {
		return name, "", rest
	}
	if trimmed := strings.TrimLeft(rest, " \t"); strings.HasPrefix(trimmed, `"`) {
		value, rest = unquote(trimmed[1:])
		_, rest, _ = strings.Cut(rest, ",")
		return name, value, rest
	}
	value, rest, _ = strings.Cut(rest, ",")
	return name, value, rest
}

func lower(s string) string { return strings.ToLower(strings.Trim(s, " \t")) }

// unquote reads a quoted string up to its closing quote, which may be missing.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
