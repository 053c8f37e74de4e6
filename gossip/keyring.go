package gossip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/edgecache/edgecache/registry"
)

const (
	leastKey = 16 // bytes
	mostKey  = 1 << 10
	mostKeys = 64

	meshKeyText   = "edgecache gossip v1"
	readKeysEvery = time.Second // at the file
)

// A keyring is the keys of secret_file, the one in use first. Each is good for
// letting a peer in; with the one in use this node seals its own messages.
type keyring struct {
	path string // "": none, and there are no keys
	log  *slog.Logger

	turn sync.Mutex          // one change at a time, with its file; protects the fields below
	file fs.FileInfo         // when it was last read; nil: it could not be
	ring *memberlist.Keyring // of the same keys; nil: none

	mu   sync.Mutex // protects keys: no handshake is to wait for a disk
	keys [][]byte
}

func openKeyring(path string, log *slog.Logger) (*keyring, error) {
	keys, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	k := &keyring{path: path, log: log, keys: keys}
	if len(keys) == 0 {
		return k, nil
	}
	k.file, _ = os.Stat(path)
	k.ring, err = memberlist.NewKeyring(nil, meshKey(keys[0]))
	if err != nil {
		return nil, err
	}
	return k, k.takeLocked(keys)
}

// meshKey makes of a line of the file a key that a cipher takes.
func meshKey(line []byte) []byte {
	h := hmac.New(sha256.New, line)
	h.Write([]byte(meshKeyText))
	return h.Sum(nil)
}

// fingerprint names a key without telling it.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:6])
}

// all returns the keys, the one in use first. They must not be changed.
func (k *keyring) all() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// shared returns the keys for memberlist, nil if there are none.
func (k *keyring) shared() *memberlist.Keyring { return k.ring }

// fingerprints names the keys, the one in use first.
func (k *keyring) fingerprints() []string {
	list := []string{}
	for _, key := range k.all() {
		list = append(list, fingerprint(key))
	}
	return list
}

// takeLocked puts keys in force, here and in memberlist.
func (k *keyring) takeLocked(keys [][]byte) error {
	k.mu.Lock()
	k.keys = keys
	k.mu.Unlock()
	want := map[string]bool{}
	for _, key := range keys {
		want[string(meshKey(key))] = true
		if err := k.ring.AddKey(meshKey(key)); err != nil {
			return err
		}
	}
	if err := k.ring.UseKey(meshKey(keys[0])); err != nil {
		return err
	}
	for _, key := range slices.Clone(k.ring.GetKeys()) {
		if !want[string(key)] {
			if err := k.ring.RemoveKey(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// step does a step of a rotation, and writes the file. What is in force already
// is done. An error of the file leaves the step in force until a restart.
func (k *keyring) step(s registry.KeyringStep, key []byte) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	keys, err := rotated(k.all(), s, key)
	if err != nil {
		return err
	}
	if err := k.takeLocked(keys); err != nil {
		return err
	}
	if written, err := readKeys(k.path); err == nil && slices.EqualFunc(written, keys, bytes.Equal) {
		return nil
	}
	if err := replaceFile(k.path, append(bytes.Join(keys, []byte("\n")), '\n')); err != nil {
		return fmt.Errorf("in force, but a restart would forget it: secret_file is not written: %w", err)
	}
	k.file, _ = os.Stat(k.path)
	return nil
}

// rotated returns the keys after a step.
func rotated(keys [][]byte, s registry.KeyringStep, key []byte) ([][]byte, error) {
	i := slices.IndexFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	switch s {
	case registry.KeyringInstall:
		switch {
		case i >= 0:
			return keys, nil
		case len(keys) >= mostKeys:
			return nil, fmt.Errorf("%d keys are installed, no more are possible: remove one", len(keys))
		}
		return append(slices.Clone(keys), key), nil
	case registry.KeyringUse:
		if i < 0 {
			return nil, fmt.Errorf("key %s is not installed: install it first", fingerprint(key))
		}
		return append([][]byte{key}, slices.Delete(slices.Clone(keys), i, i+1)...), nil
	case registry.KeyringRemove:
		switch i {
		case -1:
			return keys, nil
		case 0:
			return nil, fmt.Errorf("key %s is in use: use another first", fingerprint(key))
		}
		return slices.Delete(slices.Clone(keys), i, i+1), nil
	}
	return nil, fmt.Errorf("step %q: install, use or remove expected", s)
}

// look reads the file again if it has changed. One that cannot be read changes
// nothing.
func (k *keyring) look() {
	k.turn.Lock()
	defer k.turn.Unlock()
	if k.path == "" {
		return
	}
	file, err := os.Stat(k.path)
	if err != nil {
		if k.file != nil {
			k.log.Warn("gossip: secret_file is gone: its keys stay in force", "err", err)
		}
		k.file = nil
		return
	}
	if k.file != nil && os.SameFile(file, k.file) && file.ModTime().Equal(k.file.ModTime()) && file.Size() == k.file.Size() {
		return
	}
	k.file = file
	keys, err := readKeys(k.path)
	if err != nil {
		k.log.Warn("gossip: secret_file cannot be used: the keys from before stay in force", "err", err)
		return
	}
	if slices.EqualFunc(keys, k.all(), bytes.Equal) {
		return
	}
	if err := k.takeLocked(keys); err != nil {
		k.log.Error("gossip: the keys of secret_file are in force for streams alone", "err", err)
	}
	k.log.Info("gossip: secret_file was read again", "keys", len(keys), "in_use", fingerprint(keys[0]))
}

// watchKeys looks at the file until the node is closed.
func (n *Node) watchKeys() {
	tick := time.NewTicker(readKeysEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.keys.look()
		case <-n.ctx.Done():
			return
		}
	}
}

// readKeys reads the keyring, the key in use first.
func readKeys(path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := checkKey(line); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, err)
		}
		if !slices.ContainsFunc(keys, func(k []byte) bool { return string(k) == line }) {
			keys = append(keys, []byte(line))
		}
	}
	switch {
	case len(keys) == 0:
		return nil, fmt.Errorf("%s: no key in it", path)
	case len(keys) > mostKeys:
		return nil, fmt.Errorf("%s: %d keys, at most %d expected", path, len(keys), mostKeys)
	}
	return keys, nil
}

// checkKey returns what is wrong with a key, which has no space around it.
func checkKey(key string) error {
	switch {
	case len(key) < leastKey:
		return fmt.Errorf("a key of %d characters, at least %d expected", len(key), leastKey)
	case len(key) > mostKey:
		return fmt.Errorf("a key of %d characters, at most %d expected", len(key), mostKey)
	case strings.ContainsAny(key, "\r\n"):
		return errors.New("a key is one line, this has several")
	}
	return nil
}

// replaceFile replaces a file in one step, behind a link too. Nobody but its
// owner may read the new one.
func replaceFile(path string, data []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil // it is in place
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
