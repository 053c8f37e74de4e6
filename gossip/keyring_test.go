package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/gossip/transport"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// rotate does a step that every member must confirm.
func (m *member) rotate(step registry.KeyringStep, key string) registry.KeyringReport {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	r, err := m.node.Rotate(ctx, step, key)
	if err != nil || !r.Done {
		m.t.Fatalf("%s: %+v, %v; want all to confirm", step, r, err)
	}
	return r
}

func (m *member) secrets() []string {
	m.t.Helper()
	text, err := os.ReadFile(m.options.SecretFile)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(text), " ", "_"))
}

func TestAKeyIsRotatedUnderLoad(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2", "edge-3")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	done := 0
	load.Go(func() {
		for ; ctx.Err() == nil; done++ {
			conf, err := all[1].invalidate(registry.LevelAll, 20*time.Second)
			if err != nil || len(conf.Confirmed) != 3 {
				t.Errorf("invalidation %d during the rotation: %+v, %v; want all three to confirm", done, conf, err)
				return
			}
		}
	})
	all[0].rotate(registry.KeyringInstall, secondKey)
	all[1].rotate(registry.KeyringInstall, secondKey) // once more
	all[1].rotate(registry.KeyringUse, secondKey)
	if _, err := all[2].node.Rotate(t.Context(), registry.KeyringRemove, secondKey); err == nil || !strings.Contains(err.Error(), "is in use on edge-1") {
		t.Errorf("the key in use is removed: %v", err)
	}
	report := all[2].rotate(registry.KeyringRemove, firstKey)
	for _, k := range report.Members {
		if !slices.Equal(k.Keys, []string{gossip.Fingerprint([]byte(secondKey))}) {
			t.Errorf("%s has %v", k.Name, k.Keys)
		}
	}
	stop()
	load.Wait()
	if done == 0 {
		t.Error("no invalidation went through")
	}
	for _, m := range all {
		m.meets(2)
		if got := m.secrets(); len(got) != 1 || got[0] != strings.ReplaceAll(secondKey, " ", "_") {
			t.Errorf("%s has written %v", m.name, got)
		}
		if info, err := os.Stat(m.options.SecretFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", m.name, info.Mode(), err)
		}
	}
	fresh := joiner(t, "edge-4", all[0], secondKey, func(*gossip.Options) {})
	fresh.mustSync(true)
	said := &logBuffer{}
	old := joiner(t, "edge-5", all[0], firstKey, func(o *gossip.Options) {
		o.Logger = slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	eventually(t, "an old key is refused", func() error {
		if text := said.String(); !strings.Contains(text, transport.ErrKeys.Error()) {
			return errors.New(text)
		}
		return nil
	})
	if len(old.node.Members(t.Context())) > 1 || old.node.Synced() {
		t.Error("it is let in")
	}
	at := []string{all[1].node.GossipAddress()}
	if _, err := stranger(t, sealed, gossip.MeshKey([]byte(firstKey))).Join(at); err == nil {
		t.Error("the removed key joins by gossip")
	}
	if _, err := stranger(t, sealed, gossip.MeshKey([]byte(secondKey))).Join(at); err != nil {
		t.Errorf("the key in use, by gossip: %v", err)
	}
	all[0].stop()
	all[0].start()
	all[0].mustSync(true)
}

// joiner starts a node that joins by another.
func joiner(t *testing.T, name string, by *member, key string, change func(*gossip.Options)) *member {
	t.Helper()
	m := newMember(t, name, registrytest.NewFake("r"), func(o *gossip.Options) {
		o.Label, o.SecretFile, o.Join = sealed, secretFile(t, key), []string{by.node.Address()}
		change(o)
	})
	m.start()
	return m
}

// A logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex // protects text
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestAStepThatAMemberMissesIsNotBegunOrRepeated(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2", "edge-3")
	all[0].meets(2)
	away := all[2]
	away.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	r, err := all[0].node.Rotate(ctx, registry.KeyringInstall, secondKey)
	if err != nil || r.Done || len(r.Members) != 3 || r.Members[0].Error+r.Members[1].Error != "" || r.Members[2].Error != "no answer" {
		t.Fatalf("%+v, %v; want all but edge-3", r, err)
	}
	r, err = all[0].node.Rotate(t.Context(), registry.KeyringUse, secondKey)
	if err != nil || r.Done || r.Members[0].Done {
		t.Fatalf("%+v, %v; want that it is not begun", r, err)
	}
	if got := all[0].secrets(); len(got) != 2 || !strings.HasPrefix(got[0], "the_first") {
		t.Errorf("the ring is %v", got)
	}
	away.start()
	away.mustSync(true)
	if _, err := all[0].node.Rotate(t.Context(), registry.KeyringUse, secondKey); err == nil || !strings.Contains(err.Error(), "not installed on edge-3") {
		t.Errorf("a key is used that is not everywhere: %v", err)
	}
	all[0].rotate(registry.KeyringInstall, secondKey)
	all[0].rotate(registry.KeyringUse, secondKey)
}

func TestAKeyringFileThatCannotBeWrittenIsSaid(t *testing.T) {
	m := sealedCluster(t, "edge-1")[0]
	if err := os.RemoveAll(filepath.Dir(m.options.SecretFile)); err != nil {
		t.Fatal(err)
	}
	r, err := m.node.Rotate(t.Context(), registry.KeyringInstall, secondKey)
	if err != nil || r.Done || !strings.Contains(r.Members[0].Error, "secret_file is not written") || len(r.Members[0].Keys) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAChangedSecretFileIsReadAgain(t *testing.T) {
	m := sealedCluster(t, "edge-1")[0]
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(m.options.SecretFile+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(m.options.SecretFile+".new", m.options.SecretFile); err != nil {
			t.Fatal(err)
		}
	}
	has := func(keys ...string) {
		t.Helper()
		for i := range keys {
			keys[i] = gossip.Fingerprint([]byte(keys[i]))
		}
		eventually(t, "the keys are taken over", func() error {
			r, err := m.node.Keyring(t.Context())
			if err != nil || len(r.Members) != 1 || !slices.Equal(r.Members[0].Keys, keys) {
				return fmt.Errorf("%+v, %v; want %v", r, err, keys)
			}
			return nil
		})
	}
	has(firstKey)
	write(secondKey + "\n" + firstKey + "\n")
	has(secondKey, firstKey)
	write("short\n")
	write("\n" + firstKey + "\n\n") // the bad one changed nothing, or was not seen
	has(firstKey)
}

func TestMistakesOfAKeyring(t *testing.T) {
	m := sealedCluster(t, "edge-1")[0]
	for _, c := range []struct {
		step      registry.KeyringStep
		key, want string
	}{
		{registry.KeyringInstall, "short", "a key of 5 characters, at least 16 expected"},
		{registry.KeyringInstall, secondKey + "\n" + firstKey, "a key is one line"},
		{registry.KeyringUse, secondKey, "is not installed on edge-1: install it first"},
		{registry.KeyringRemove, firstKey, "is in use on edge-1: use another first"},
	} {
		if _, err := m.node.Rotate(t.Context(), c.step, c.key); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secondKey) {
			t.Errorf("%s %s: %v, want %q", c.step, c.key, err, c.want)
		}
	}
	m.rotate(registry.KeyringRemove, secondKey) // nobody has it
	open := cluster(t, "edge-1")[0]
	if _, err := open.node.Rotate(t.Context(), registry.KeyringInstall, secondKey); err == nil || !strings.Contains(err.Error(), "set gossip.secret_file") {
		t.Errorf("without keys: %v", err)
	}
}
