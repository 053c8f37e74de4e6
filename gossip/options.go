// Package gossip makes nodes one cluster: it drives the protocol's core with
// streams, timers and the disk, so that what one node applies, all apply.
package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Options configure a Node. The tagged fields are the config section `gossip`;
// the others are set by the program that wires the node.
type Options struct {
	PeerListen string            `yaml:"peer_listen"` // host:port of the streams
	Advertise  string            `yaml:"advertise"`   // host:port that others reach PeerListen at; "": see reachable
	Listen     string            `yaml:"listen"`      // host:port of memberlist, UDP and TCP; "": none, streams carry all
	Join       []string          `yaml:"join"`        // host:port of peers; all their addresses, asked again at each try
	Label      string            `yaml:"label"`       // nodes of other labels are not talked to
	SecretFile string            `yaml:"secret_file"` // keys, one a line, the one in use first
	TLS        TLS               `yaml:"tls"`
	Unsynced   registry.Unsynced `yaml:"unsynced"`
	Forget     time.Duration     `yaml:"forget"`      // a member silent for so long is forgotten; 0: only by hand
	RaiseEvery time.Duration     `yaml:"raise_every"` // in place of invalidations that are gone everything is invalidated, at most so often
	Insecure   bool              `yaml:"insecure"`    // allow peers off loopback without a secret and TLS

	Name       string        `yaml:"-"` // of this node
	Zone       string        `yaml:"-"`
	Version    string        `yaml:"-"`
	ReadyAfter time.Duration `yaml:"-"` // nobody found until then: begin alone
	Log        Log           `yaml:"-"`
	Logger     *slog.Logger  `yaml:"-"` // nil: discard
}

// TLS names the files of mutual TLS between peers; none: certificates made on
// the spot, which the secret vouches for.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
}

// Log is the journal, as far as peers need it.
type Log interface {
	Node() uint64
	Epoch() uint64
	Epochs(yield func(registry.EpochState) bool) error
	Range(origin, epoch, from uint64, yield func(seq uint64, raw []byte) bool) error
	Truncate(origin, epoch, below uint64) error
	Raise(m registry.Mode, a registry.Applied, instead []registry.EpochState) error
	Issue(ctx context.Context, position uint64, encode func(origin, epoch, seq uint64) []byte) (raw []byte, err error)
	Members() []byte
	SetMembers(members []byte) error
	Renew(identity bool) error
}

// Local is the cache, as far as peers need it.
type Local interface {
	Receive(list []registry.Received) (log func(ctx context.Context) error)
	RaiseAll(m registry.Mode) registry.Applied
	Hint(inv *registry.Invalidation)
	Before(list []registry.EpochState)
	Began(upto func(origin, epoch uint64) uint64) (began uint64, ok bool)
	Copy(a registry.Ask) (cp registry.Copy, ok bool)
	Fill(ctx context.Context, a registry.Ask) bool
	Offer(cp registry.Copy, source string, began uint64)
}

// Defaults returns the default configuration.
func Defaults() Options {
	return Options{Unsynced: registry.UnsyncedServeStale, Forget: 72 * time.Hour, RaiseEvery: time.Second}
}

// WithListeners returns o with the listeners that it does not name. On the
// loopback the second path takes any port, since peers are told which; with
// TLS alone, which it cannot use, there is none.
func (o Options) WithListeners() Options {
	o.PeerListen = cmp.Or(o.PeerListen, ":7402")
	host, _, err := net.SplitHostPort(o.PeerListen)
	switch {
	case o.Listen != "" || err != nil:
	case loopback(host):
		o.Listen = net.JoinHostPort(host, "0")
	case o.SecretFile != "" || o.Insecure:
		o.Listen = net.JoinHostPort(host, "7403")
	}
	return o
}

// leastForget is more than a node needs to restart.
const leastForget = 10 * time.Second

const leastRaise = 100 * time.Millisecond

// Validate returns all mistakes in the tagged fields at once, each beginning
// with its key.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	host, _, err := net.SplitHostPort(o.PeerListen)
	if err != nil {
		bad("peer_listen: %q: host:port expected, for example :7402", o.PeerListen)
	} else if !o.Insecure && o.SecretFile == "" && o.TLS == (TLS{}) && !loopback(host) {
		bad("peer_listen: %s can be reached from other machines: set secret_file or tls, or insecure: true", o.PeerListen)
	}
	if host, _, err := net.SplitHostPort(o.Listen); o.Listen != "" && err != nil {
		bad("listen: %q: host:port expected, for example :7403", o.Listen)
	} else if o.Listen != "" && !o.Insecure && o.SecretFile == "" && !loopback(host) {
		bad("listen: %s can be reached from other machines: set secret_file, or insecure: true", o.Listen)
	}
	for i, address := range o.Join {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			bad("join[%d]: %q: host:port of a peer expected, for example edge-1:7402", i, address)
		}
	}
	if o.Advertise != "" {
		if host, _, err := net.SplitHostPort(o.Advertise); err != nil || host == "" {
			bad("advertise: %q: host:port expected", o.Advertise)
		}
	}
	if n := o.TLS; (n.Cert == "" || n.Key == "" || n.CA == "") && n != (TLS{}) {
		bad("tls: cert, key and ca expected, all three")
	}
	switch o.Unsynced {
	case registry.UnsyncedServeStale, registry.UnsyncedRevalidate, registry.UnsyncedRefuse:
	default:
		bad("unsynced: %q: serve-stale, revalidate or refuse expected", o.Unsynced)
	}
	if o.RaiseEvery != 0 && (o.RaiseEvery < leastRaise || o.RaiseEvery > time.Minute) {
		bad("raise_every: %s: %s to 1m expected", o.RaiseEvery, leastRaise)
	}
	if o.Forget != 0 && o.Forget < leastForget {
		bad("forget: %s: 0 or at least %s expected", o.Forget, leastForget)
	}
	if _, err := readKeys(o.SecretFile); err != nil {
		bad("secret_file: %w", err)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
