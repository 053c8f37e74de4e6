package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/gossip/transport"
	"github.com/edgecache/edgecache/registry"
)

// The kinds of frames that are no business of the protocol's core, in their
// first byte. What follows is JSON. A node that does not know one skips it.
const (
	kindKeyring       = 0x50 + iota // a step of a rotation
	kindKeyringAnswer               // what became of it
)

const (
	askAgainEvery = 500 * time.Millisecond // whoever has not answered
	checkFor      = 4 * time.Second        // how all are before a step
	longestAsk    = 16 << 10
)

// A keyringAsk has a member do a step; an empty one asks for its keys.
type keyringAsk struct {
	Token uint64               `json:"token"`
	Step  registry.KeyringStep `json:"step,omitempty"`
	Key   string               `json:"key,omitempty"`
}

// A keyringAnswer tells the fingerprints of the keys, the one in use first.
type keyringAnswer struct {
	Token uint64   `json:"token"`
	Keys  []string `json:"keys"`
	Error string   `json:"error,omitempty"`

	from protocol.NodeID
}

var errNoKeyring = errors.New("this node has no keys: set gossip.secret_file")

// Keyring tells the keys of all members.
func (n *Node) Keyring(ctx context.Context) (registry.KeyringReport, error) {
	if n.keys.path == "" {
		return registry.KeyringReport{}, errNoKeyring
	}
	return n.askMembers(ctx, keyringAsk{}), nil
}

// Rotate does a step of a key's rotation on all members, as far as they answer
// until ctx ends; it may be repeated. Using and removing a key begins only if
// every member is ready for it: otherwise one who is away now could not come
// back.
func (n *Node) Rotate(ctx context.Context, s registry.KeyringStep, key string) (registry.KeyringReport, error) {
	if n.keys.path == "" {
		return registry.KeyringReport{}, errNoKeyring
	}
	key = strings.TrimSpace(key)
	if err := checkKey(key); err != nil {
		return registry.KeyringReport{}, err
	}
	name := fingerprint([]byte(key))
	if s != registry.KeyringInstall {
		check, cancel := context.WithTimeout(ctx, checkFor)
		now := n.askMembers(check, keyringAsk{})
		cancel()
		if err := ready(now, s, name); err != nil {
			return registry.KeyringReport{}, err
		}
		if !now.Done {
			now.Key = name
			for i := range now.Members {
				m := &now.Members[i]
				if m.Done {
					m.Done, m.Error = false, "not begun: another member did not answer"
				}
			}
			return now, nil
		}
	}
	report := n.askMembers(ctx, keyringAsk{Step: s, Key: key})
	report.Key = name
	n.log.Info("gossip: keyring", "step", string(s), "key", name, "confirmed", report.Done)
	return report, nil
}

// ready returns why a step cannot be done with what the members have now.
func ready(now registry.KeyringReport, s registry.KeyringStep, key string) error {
	for _, m := range now.Members {
		switch {
		case !m.Done:
		case s == registry.KeyringUse && !slices.Contains(m.Keys, key):
			return fmt.Errorf("key %s is not installed on %s: install it first", key, m.Name)
		case s == registry.KeyringRemove && len(m.Keys) > 0 && m.Keys[0] == key:
			return fmt.Errorf("key %s is in use on %s: use another first", key, m.Name)
		}
	}
	return nil
}

// A round is one question to all members.
type round struct {
	pending map[protocol.NodeID]string // the names of those who have not answered
	report  registry.KeyringReport
}

func (r *round) take(a keyringAnswer) {
	name, ok := r.pending[a.from]
	if !ok {
		return // twice, or not asked
	}
	delete(r.pending, a.from)
	r.report.Members = append(r.report.Members, registry.KeyringMember{Name: name, Keys: a.Keys, Done: a.Error == "", Error: a.Error})
}

// end returns the report, with those who did not answer.
func (r *round) end() registry.KeyringReport {
	for _, name := range r.pending {
		r.report.Members = append(r.report.Members, registry.KeyringMember{Name: name, Keys: []string{}, Error: "no answer"})
	}
	slices.SortFunc(r.report.Members, func(a, b registry.KeyringMember) int { return strings.Compare(a.Name, b.Name) })
	r.report.Done = !slices.ContainsFunc(r.report.Members, func(m registry.KeyringMember) bool { return !m.Done })
	return r.report
}

// askMembers asks all members, this one too, until all have answered or ctx
// ends. Who has no stream is asked once he has one.
func (n *Node) askMembers(ctx context.Context, ask keyringAsk) registry.KeyringReport {
	answers := make(chan keyringAnswer, 256)
	n.mu.Lock()
	n.tokens++
	ask.Token = n.tokens
	n.rotations[ask.Token] = answers
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.rotations, ask.Token)
		n.mu.Unlock()
	}()
	self := protocol.NodeID(n.opts.Log.Node())
	r := round{pending: map[protocol.NodeID]string{self: n.opts.Name}}
	if members := n.members.Load(); members != nil {
		for _, m := range *members {
			if !m.Out {
				r.pending[m.ID] = m.Name
			}
		}
	}
	own := n.doStep(ask)
	own.from = self
	r.take(own)
	again := time.NewTicker(askAgainEvery)
	defer again.Stop()
	n.sendAsk(ask, r.pending)
	for len(r.pending) > 0 {
		select {
		case a := <-answers:
			r.take(a)
		case <-again.C:
			n.sendAsk(ask, r.pending)
		case <-ctx.Done():
			return r.end()
		case <-n.ctx.Done():
			return r.end()
		}
	}
	return r.end()
}

// sendAsk asks those who have a stream.
func (n *Node) sendAsk(ask keyringAsk, pending map[protocol.NodeID]string) {
	frame, err := json.Marshal(ask)
	if err != nil {
		return // cannot happen: all fields are numbers and strings
	}
	for _, s := range n.streamsTo(pending) {
		s.Send(append([]byte{kindKeyring}, frame...))
	}
}

// doStep does a step on this node.
func (n *Node) doStep(ask keyringAsk) keyringAnswer {
	a := keyringAnswer{Token: ask.Token}
	err := errNoKeyring
	if n.keys.path != "" {
		if err = nil; ask.Step != "" {
			if err = checkKey(ask.Key); err == nil {
				err = n.keys.step(ask.Step, []byte(ask.Key))
			}
		}
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.Keys = n.keys.fingerprints()
	return a
}

// isKeyring reports whether a frame is handled by receivedKeyring.
func isKeyring(data []byte) bool {
	return len(data) > 0 && (data[0] == kindKeyring || data[0] == kindKeyringAnswer)
}

func (n *Node) receivedKeyring(s *transport.Stream, data []byte) {
	kind, body := data[0], data[1:]
	if len(body) > longestAsk {
		return
	}
	switch kind {
	case kindKeyring:
		var ask keyringAsk
		if json.Unmarshal(body, &ask) != nil {
			return
		}
		n.wg.Go(func() { // it writes a file
			if ask.Step != "" {
				n.log.Info("gossip: keyring", "step", string(ask.Step), "key", fingerprint([]byte(ask.Key)), "asked_by", s.RemoteAddr())
			}
			answer, err := json.Marshal(n.doStep(ask))
			if err == nil {
				s.Send(append([]byte{kindKeyringAnswer}, answer...))
			}
		})
	case kindKeyringAnswer:
		var a keyringAnswer
		if json.Unmarshal(body, &a) != nil {
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		a.from = n.byPeer[s].hello.Node
		if answers := n.rotations[a.Token]; answers != nil {
			select {
			case answers <- a:
			default: // he is asked again
			}
		}
	}
}
