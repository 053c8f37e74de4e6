package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// A Compiler compiles the rewritten module at a path, with a memory of at most
// so many pages, so that wazero's compilation cache in a directory has its code
// for what [fuel.Hollow] leaves of it. It may do so in another process, for
// compilation is neither bounded in time nor in memory.
type Compiler func(module, cacheDir string, pages uint32) error

// A cache keeps what was made of modules, so that a restart takes milliseconds:
// the machine code, and the rewritten binary without its functions, for wazero
// would read and validate them, and they are what takes long. Whoever writes there
// owns the process: the directory must be ours alone. What is damaged can end it:
// files are compared with their checksums before wazero reads them.
type cache struct {
	dir     string   // "": one for as long as the process runs
	compile Compiler // nil: nothing is kept, programs compile what they run
	logger  *slog.Logger
	options Options // who must vouch for modules

	mu        sync.Mutex // one compilation at a time; protects the fields below, and dir
	ready     bool       // the directory was there, and ours
	temporary bool
}

// Names in an entry of the cache.
const (
	cachedModule = "module.wasm" // rewritten and hollow; that it is there says that it was valid
	cachedCode   = "code"        // wazero's directory
	cachedSums   = "sums.json"   // written last: the checksum of each file

	cachedForm = 2 // of an entry
)

// open makes the directory, or checks the one that is there.
func (c *cache) open() error {
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "edgecache-plugins-")
		if err != nil {
			return fmt.Errorf("a directory to compile in (node.data_dir is none): %w", err)
		}
		c.dir, c.temporary = dir, true
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil { // a temporary one may have been tidied away
		return err
	}
	info, err := os.Stat(c.dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s: mode %#o lets others write or read machine code that this process runs; chmod 700 expected", c.dir, mode)
	}
	if !ours(info) {
		return fmt.Errorf("%s: it belongs to another user, who could write machine code that this process runs", c.dir)
	}
	c.ready = true
	return nil
}

// close removes the directory if it is of this process.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temporary {
		_ = os.RemoveAll(c.dir)
		c.dir, c.temporary, c.ready = "", false, false
	}
}

// key names what is made of a module: it differs where that does.
func (m *Module) key() string {
	return fmt.Sprintf("%s-%s-%d.%d-%d.%d-%d-%s-%s", m.SHA256, m.Manifest.Kind, abiMajor, abiMinor, fuel.Version, cachedForm, m.Manifest.Limits.MemoryPages, wazeroVersion(), runtime.GOARCH)
}

// wazeroVersion is that of the compiler, "unknown" where the build does not say.
var wazeroVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				return filepath.Base(dep.Version)
			}
		}
	}
	return "unknown"
})

// take has a module's binary looked at and rewritten, or finds what was made of
// it before.
func (c *cache) take(m *Module, binary []byte) error {
	if c.compile == nil {
		return m.take(binary)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return err
	}
	entry := filepath.Join(c.dir, m.key())
	err := c.check(entry)
	if err == nil {
		m.code, m.renew = filepath.Join(entry, cachedCode), func() error { return c.renew(m, entry) }
		m.binary, err = os.ReadFile(filepath.Join(entry, cachedModule))
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.logger.Warn("plugins: what was compiled is damaged, it is compiled again", "module", m.Path, "err", err)
	}
	return c.fill(m, binary, entry)
}

// renew compiles a module again whose code wazero does not take.
func (c *cache) renew(m *Module, entry string) error {
	binary, err := os.ReadFile(m.Path)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(binary); hex.EncodeToString(sum[:]) != m.SHA256 {
		return fmt.Errorf("%s changed while it was loaded", m.Path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logger.Warn("plugins: what was compiled is for another processor, it is compiled again", "module", m.Path)
	return c.fill(m, binary, entry)
}

// fill compiles a module aside, and then puts it in place.
func (c *cache) fill(m *Module, binary []byte, entry string) error {
	if err := m.take(binary); err != nil {
		return err
	}
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
	if m.binary, err = fuel.Hollow(m.binary); err != nil {
		return err
	}
	if err := os.WriteFile(path, m.binary, 0o600); err != nil {
		return err
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumsOf returns the sizes and checksums of an entry's files. They tell what is
// damaged; who may write the files could write the sums.
func sumsOf(entry string) (map[string]string, error) {
	sums := map[string]string{}
	return sums, filepath.WalkDir(entry, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == cachedSums {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		name, err := filepath.Rel(entry, path)
		if err != nil {
			return err
		}
		sums[name], err = sumOf(path)
		return err
	})
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	size, err := io.Copy(sum, f)
	return fmt.Sprintf("%d %08x", size, sum.Sum32()), err
}

// prune removes all entries but those of some modules.
func (c *cache) prune(keep []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready { // nothing was asked of it
		return
	}
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
