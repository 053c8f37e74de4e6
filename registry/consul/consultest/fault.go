package consultest

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// Hang takes requests and never answers them.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// Delay holds each request back for d.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Garbage answers every request with status 200 and this body, with the
// headers of a good answer.
func Garbage(body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Consul-Index", "999999999")
		_, _ = w.Write([]byte(body)) // a client that is gone does not matter
	}
}

// Status answers every request with this status and text.
func Status(code int, text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, text, code) }
}

// Truncate cuts every body in half while its header announces the whole.
func Truncate() Fault {
	return rewrite(func(w http.ResponseWriter, answer *buffered) {
		w.Header().Set("Content-Length", fmt.Sprint(answer.body.Len()))
		w.WriteHeader(answer.code)
		_, _ = w.Write(answer.body.Bytes()[:answer.body.Len()/2])
	})
}

// Headers sets (or with "" removes) headers of every answer, so that a test
// can play a server that lags, has no leader or is no Consul.
func Headers(set map[string]string) Fault {
	return rewrite(func(w http.ResponseWriter, answer *buffered) {
		for k, v := range set {
			if w.Header().Del(k); v != "" {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(answer.code)
		_, _ = w.Write(answer.body.Bytes())
	})
}

// Lagging answers reads that allow any server from the catalog as it is now,
// with the headers of a server in good standing; the leader's are current.
func (s *Server) Lagging() Fault {
	old := &Server{catalog: s.catalog.clone(), mux: http.NewServeMux()}
	old.routes()
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Has("stale") {
			next = old.mux
		}
		next.ServeHTTP(w, r)
	}
}

// A buffered is an answer that was not sent yet.
type buffered struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(code int)        { b.code = code }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// rewrite lets send change the catalog's answers.
func rewrite(send func(http.ResponseWriter, *buffered)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b := &buffered{header: http.Header{}, code: http.StatusOK}
		next.ServeHTTP(b, r)
		maps.Copy(w.Header(), b.header)
		send(w, b)
	}
}
