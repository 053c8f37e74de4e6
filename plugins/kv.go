package plugins

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A keep holds what an adapter keeps on this node: written within a second to a
// file of its own, and lost if that cannot be read. It is safe for concurrent
// use.
type keep struct {
	path   string // "": nowhere
	logger *slog.Logger

	mu     sync.Mutex // protects the fields below
	of     string     // what the values are of: others begin anew
	values map[string]kept
	size   int
	dirty  bool
	writes bool        // it is installed, and not closed
	timer  *time.Timer // of the next write; nil: none
	saving sync.Mutex  // one write at a time; taken before mu
}

type kept struct {
	Key   []byte `json:"key"` // of the file's entries only
	Value []byte `json:"value"`
	Until int64  `json:"until,omitempty"` // Unix ms; 0: for good
}

// keptFile is the form on disk.
type keptFile struct {
	Version int    `json:"version"`
	Of      string `json:"of"`
	Values  []kept `json:"values"`
}

const keepVersion = 1

// writeAfter is how long changes gather.
const writeAfter = time.Second

// openKeep reads what was kept at a path of what of names; else it is empty.
func openKeep(path, of string, logger *slog.Logger) *keep {
	k := &keep{path: path, of: of, logger: logger, values: map[string]kept{}}
	if path == "" {
		return k
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return k
	}
	var f keptFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil || f.Version != keepVersion {
		logger.Warn("plugins: what an adapter kept cannot be read, it begins anew", "path", path, "version", f.Version, "err", err)
		return k
	}
	if f.Of != of {
		return k
	}
	for _, v := range f.Values {
		if key := string(v.Key); k.fits(key, v.Value) {
			k.values[key] = kept{Value: v.Value, Until: v.Until}
			k.size += len(key) + len(v.Value)
		}
	}
	return k
}

// fits reports whether there is room for a value, in place of what the key has.
func (k *keep) fits(key string, value []byte) bool {
	size, n := k.size+len(key)+len(value), len(k.values)+1
	if old, ok := k.values[key]; ok {
		size, n = size-len(key)-len(old.Value), n-1
	}
	return len(key) > 0 && len(key) <= maxKey && len(value) <= maxValue && size <= maxKept && n <= maxKeys
}

func (k *keep) get(key string) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[key]
	if !ok || v.over(time.Now()) {
		return nil, false
	}
	return v.Value, true // never changed, only replaced
}

func (v *kept) over(now time.Time) bool { return v.Until != 0 && v.Until <= now.UnixMilli() }

// set keeps a value; false if there is no room.
func (k *keep) set(key string, value []byte, ttl time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fits(key, value) {
		k.sweepLocked()
	}
	if !k.fits(key, value) {
		return false
	}
	k.removeLocked(key)
	v := kept{Value: append([]byte{}, value...)}
	if ttl > 0 {
		v.Until = time.Now().Add(ttl).UnixMilli()
	}
	k.values[key] = v
	k.size += len(key) + len(value)
	k.changedLocked()
	return true
}

func (k *keep) del(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removeLocked(key)
}

func (k *keep) removeLocked(key string) {
	if v, ok := k.values[key]; ok {
		delete(k.values, key)
		k.size -= len(key) + len(v.Value)
		k.changedLocked()
	}
}

func (k *keep) changedLocked() {
	if k.dirty = true; k.timer == nil && k.path != "" && k.writes {
		k.timer = time.AfterFunc(writeAfter, k.save)
	}
}

// install has changes written from now on, those before it too.
func (k *keep) install() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.writes = true; k.dirty {
		k.changedLocked()
	}
}

// sweepLocked forgets what is over.
func (k *keep) sweepLocked() {
	now := time.Now()
	for key, v := range k.values {
		if v.over(now) {
			k.removeLocked(key)
		}
	}
}

func (k *keep) bytes() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return uint64(k.size)
}

// save writes all values aside, and then in place.
func (k *keep) save() {
	k.saving.Lock()
	defer k.saving.Unlock()
	k.mu.Lock()
	if !k.dirty || k.path == "" {
		k.mu.Unlock()
		return
	}
	k.sweepLocked()
	if k.timer != nil {
		k.timer.Stop()
	}
	k.dirty, k.timer = false, nil
	f := keptFile{keepVersion, k.of, make([]kept, 0, len(k.values))}
	for key, v := range k.values {
		f.Values = append(f.Values, kept{[]byte(key), v.Value, v.Until})
	}
	k.mu.Unlock()
	text, err := json.Marshal(&f)
	if err == nil {
		err = replaceFile(k.path, text)
	}
	if err != nil {
		k.logger.Warn("plugins: what an adapter keeps cannot be written", "path", k.path, "err", err)
	}
}

// replaceFile writes a file that is there whole, or not.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// close writes what is not written yet.
func (k *keep) close() {
	k.mu.Lock()
	was := k.writes
	k.writes = false
	k.mu.Unlock()
	if was {
		k.save() // what runs beside it ends first, what comes after it finds nothing to do
	}
}
