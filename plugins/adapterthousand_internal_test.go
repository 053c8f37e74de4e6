package plugins

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	engine "github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

const (
	thousand  = 1000
	itsRate   = 200 // calls a second, and as many at once
	itsPool   = 4
	atATime   = 16 // names of one registry that a refresh has under way
	itsAnswer = 10 * time.Millisecond
)

// A slowRegistry answers after a while, and notes when it was asked.
type slowRegistry struct {
	mu        sync.Mutex // protects the fields below
	now, most int        // requests under way
	asked     []time.Time
	names     map[string]int
}

// RoundTrip implements [http.RoundTripper].
func (s *slowRegistry) RoundTrip(r *http.Request) (*http.Response, error) {
	text := `{"instances":[{"id":"a","address":"10.0.0.1","port":80}]}`
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.asked = append(s.asked, time.Now())
	if name, one := strings.CutPrefix(r.URL.Path, "/s/"); one {
		s.names[name]++
	} else {
		text = strings.Join(thousandNames(), "\n")
	}
	s.mu.Unlock()
	time.Sleep(itsAnswer)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func thousandNames() []string {
	names := make([]string, thousand)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	return names
}

// keeps fails unless all requests kept to a rate, in any window: what was let
// through before it and had no instance yet is the most that it may have besides.
func (s *slowRegistry) keeps(t *testing.T) {
	t.Helper()
	if s.most != itsPool {
		t.Errorf("%d requests at a time, %d expected", s.most, itsPool)
	}
	for i, from := range s.asked {
		for j := i; j < len(s.asked); j++ {
			window := s.asked[j].Sub(from)
			if n, most := j-i+1, itsRate+atATime+int(itsRate*window.Seconds())+1; n > most {
				t.Fatalf("%d requests within %s, at most %d expected", n, window, most)
			}
		}
	}
}

// A thousand services are refreshed through one adapter: within its pool and its
// registry's rate, and none is left out.
func TestAThousandServicesKeepToRateAndPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHost(nil, HostOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		o := AdapterDefaults()
		o.Name, o.Plugin, o.Pool = "echo", "testdata/adapter/echo.wasm", itsPool
		o.Config, o.Allow = map[string]any{"url": "http://registry.test"}, registry.Strings{"http://registry.test"}
		a, err := h.OpenAdapter(o)
		if err != nil {
			t.Fatal(err)
		}
		s := &slowRegistry{names: map[string]int{}}
		a.current.Load().out.transport = s
		co := engine.Defaults()
		co.TTL, co.Registries = time.Hour, []engine.Registry{{Name: "echo", Type: "wasm", Kind: registry.KindService, Source: a, Rate: itsRate}}
		c, err := engine.New(co)
		if err == nil {
			err = c.Open()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		for round, want := range [...]string{"changed", "unchanged"} {
			began := time.Now()
			report, err := c.Refresh(t.Context(), []registry.Selector{{All: true}})
			if err != nil || len(report.Services) != thousand {
				t.Fatalf("%d services, %v", len(report.Services), err)
			}
			for _, r := range report.Services {
				if r.Result != want || s.names[r.Name] != round+1 {
					t.Errorf("%s: %s %s after %d requests, %s expected", r.Name, r.Result, r.Error, s.names[r.Name], want)
				}
			}
			if took := time.Since(began); took < (thousand-itsRate)*time.Second/itsRate {
				t.Errorf("refreshed within %s", took)
			}
			time.Sleep(10 * time.Second) // the rate is whole again
		}
		s.keeps(t)
		if st := a.Status(); len(st.Failures) > 0 || st.Instances > itsPool {
			t.Errorf("status %+v", st)
		}
	})
}
