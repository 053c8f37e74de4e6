package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/file"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An upstream writes services into files.
type upstream struct {
	t        testing.TB
	names    []string
	services map[string][]registry.Instance
	broken   bool
	format   func(u *upstream) []byte
	write    func(content []byte)
	remove   func()
}

func (u *upstream) flush() {
	if !u.broken {
		u.write(u.format(u))
	}
}

func (u *upstream) put(name string, instances ...registry.Instance) {
	if _, ok := u.services[name]; !ok {
		u.names = append(u.names, name)
	}
	u.services[name] = instances
	u.flush()
}

func (u *upstream) delete(name string) {
	delete(u.services, name)
	u.names = slices.DeleteFunc(u.names, func(n string) bool { return n == name })
	u.flush()
}

// each calls f for each service in the order of its first put.
func (u *upstream) each(f func(name string, instances []registry.Instance)) {
	for _, name := range u.names {
		f(name, u.services[name])
	}
}

func (u *upstream) yaml() []byte {
	var b bytes.Buffer
	b.WriteString("# services\nservices: [\n")
	u.each(func(name string, instances []registry.Instance) {
		fmt.Fprintf(&b, "  {name: %s, instances: [", name)
		for _, in := range instances {
			fmt.Fprintf(&b, "{id: %s, address: %s, port: %d, health: passing},", in.ID, in.Main().Address, in.Main().Port)
		}
		b.WriteString("]},\n")
	})
	b.WriteString("]\n")
	return b.Bytes()
}

func (u *upstream) json() []byte {
	services := []any{}
	u.each(func(name string, instances []registry.Instance) {
		list := []any{}
		for _, in := range instances {
			list = append(list, map[string]any{"id": in.ID, "address": in.Main().Address, "port": in.Main().Port, "health": "passing"})
		}
		services = append(services, map[string]any{"name": name, "instances": list})
	})
	return must(json.Marshal(map[string]any{"services": services}))
}

func (u *upstream) prometheus() []byte {
	groups := []any{}
	u.each(func(name string, instances []registry.Instance) {
		targets := []string{}
		for _, in := range instances {
			targets = append(targets, fmt.Sprintf("%s:%d", in.Main().Address, in.Main().Port))
		}
		groups = append(groups, map[string]any{"targets": targets, "labels": map[string]string{"job": name, "env": "test"}})
	})
	return must(json.Marshal(groups))
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// replace writes a file as careful writers do: by rename.
func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	temp := path + ".tmp~"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes a file in place, in two halves.
func overwrite(t testing.TB, path string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// swap writes a file as Kubernetes updates a ConfigMap: into a new directory,
// then ..data, a link to the directory, is replaced.
func swap(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	data, err := os.MkdirTemp(dir, "..2026_")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Symlink(filepath.Base(data), filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, name)
	if _, err := os.Lstat(link); err != nil {
		if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
			t.Fatal(err)
		}
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t testing.TB, format func(*upstream) []byte, write func(testing.TB, string, []byte)) registrytest.Upstream {
	path := filepath.Join(t.TempDir(), "services")
	u := &upstream{t: t, services: map[string][]registry.Instance{}, format: format}
	u.write = func(content []byte) { write(t, path, content) }
	u.remove = func() {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	u.flush()
	source, err := file.New(file.Options{Path: registry.Strings{path}, Poll: 20 * time.Millisecond, Name: "files"})
	if err != nil {
		t.Fatal(err)
	}
	return registrytest.Upstream{
		Source: source, Put: u.put, PutEmpty: func(name string) { u.put(name) }, Remove: u.delete,
		Break:  func() { u.broken = true; u.remove() },
		Garble: func() { u.broken = true; u.write([]byte("<html>\n<p class='x'>: services: [not really</p>\n")) },
		Truncate: func() {
			u.broken = true
			content := u.format(u)
			u.write(content[:len(content)/2])
		},
		Repair: func() { u.broken = false; u.flush() },
		Close: func() {
			if err := source.Close(); err != nil {
				t.Error(err)
			}
		},
	}
}

func TestSourceConforms(t *testing.T) {
	for _, form := range []struct {
		name   string
		format func(*upstream) []byte
		write  func(testing.TB, string, []byte)
		ownIDs bool
	}{
		{"yaml replaced by rename", (*upstream).yaml, replace, false},
		{"json written in place", (*upstream).json, overwrite, false},
		{"prometheus replaced by rename", (*upstream).prometheus, replace, true},
		{"yaml in a config map", (*upstream).yaml, func(t testing.TB, path string, content []byte) {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			swap(t, path, "services.yaml", content)
		}, false},
	} {
		t.Run(form.name, func(t *testing.T) {
			registrytest.Run(t, registrytest.Harness{
				Open:  func(t testing.TB) registrytest.Upstream { return open(t, form.format, form.write) },
				Alive: 20 * time.Millisecond, OwnIDs: form.ownIDs,
			})
		})
	}
}
