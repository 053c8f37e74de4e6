package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// A Compiler compiles the rewritten module at a path, with a memory of at most
// so many pages, so that wazero's compilation cache in a directory has it. It
// may do so in another process, for compilation is neither bounded in time nor
// in memory.
type Compiler func(module, cacheDir string, pages uint32) error

// A cache keeps what was made of modules, so that a restart takes milliseconds:
// the rewritten binary, and the machine code. Whoever writes there owns the
// process, and what is damaged can end it: the directory must be ours alone, and
// files are compared with their hashes before wazero reads them.
type cache struct {
	dir     string // "": nothing is kept
	compile Compiler
	logger  *slog.Logger
	options Options // who must vouch for modules

	mu sync.Mutex // one compilation at a time
}

// Names in an entry of the cache.
const (
	cachedModule = "module.wasm" // rewritten; that it is there says that it was valid
	cachedCode   = "code"        // wazero's directory
	cachedSums   = "sums.json"   // written last: SHA-256 of each file
)

// openCache makes the directory, or checks the one that is there.
func openCache(dir string, compile Compiler, logger *slog.Logger) (*cache, error) {
	c := &cache{dir: dir, compile: compile, logger: logger}
	if dir == "" {
		return c, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %#o lets others write or read machine code that this process runs; chmod 700 expected", dir, mode)
	}
	if !ours(info) {
		return nil, fmt.Errorf("%s: it belongs to another user, who could write machine code that this process runs", dir)
	}
	return c, nil
}

// key names what is made of a module: it differs where that does.
func (m *Module) key() string {
	return fmt.Sprintf("%s-%d.%d-%d-%d", m.SHA256, abiMajor, abiMinor, fuel.Version, m.Manifest.Limits.MemoryPages)
}

// take has a module's binary looked at and rewritten, or finds what was made of
// it before.
func (c *cache) take(m *Module, binary []byte) error {
	if c.dir == "" {
		return m.take(binary)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := filepath.Join(c.dir, m.key())
	err := c.check(entry)
	if err == nil {
		m.code = filepath.Join(entry, cachedCode)
		m.binary, err = os.ReadFile(filepath.Join(entry, cachedModule))
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.logger.Warn("plugins: what was compiled is damaged, it is compiled again", "module", m.Path, "err", err)
	}
	if err := m.take(binary); err != nil {
		return err
	}
	return c.fill(m, entry)
}

// fill compiles a module aside, and then puts it in place.
func (c *cache) fill(m *Module, entry string) error {
	work, err := os.MkdirTemp(c.dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	path, code := filepath.Join(work, cachedModule), filepath.Join(work, cachedCode)
	if err := os.WriteFile(path, m.binary, 0o600); err != nil {
		return err
	}
	if err := c.compile(path, code, m.Manifest.Limits.MemoryPages); err != nil {
		return fmt.Errorf("compilation: %w", err)
	}
	sums, err := sumsOf(work)
	if err != nil {
		return err
	}
	text, err := json.Marshal(sums)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, cachedSums), text, 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(entry); err != nil {
		return err
	}
	if err := os.Rename(work, entry); err != nil {
		return err
	}
	m.code = filepath.Join(entry, cachedCode)
	return nil
}

// check returns an error unless an entry's files are what was written.
func (c *cache) check(entry string) error {
	text, err := os.ReadFile(filepath.Join(entry, cachedSums))
	if err != nil {
		return err
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		return err
	}
	got, err := sumsOf(entry)
	if err != nil {
		return err
	}
	if len(got) != len(want) || len(want) < 2 {
		return fmt.Errorf("%d files, %d expected", len(got), len(want))
	}
	for name, sum := range want {
		if got[name] != sum {
			return fmt.Errorf("%s is not what was written", name)
		}
	}
	return nil
}

// sumsOf returns the hashes of an entry's files.
func sumsOf(entry string) (map[string]string, error) {
	sums := map[string]string{}
	return sums, filepath.WalkDir(entry, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == cachedSums {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(entry, path)
		sum := sha256.Sum256(b)
		sums[name] = hex.EncodeToString(sum[:])
		return err
	})
}

// prune removes all entries but those of some modules.
func (c *cache) prune(keep []string) {
	if c.dir == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "new-") || !slices.Contains(keep, e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
	}
	if err != nil {
		c.logger.Warn("plugins: what is no longer used cannot be removed", "err", err)
	}
}
