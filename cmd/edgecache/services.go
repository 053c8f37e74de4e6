package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/edgecache/edgecache/registry/file"
)

//go:embed services.sample.yaml
var servicesSample []byte

// usesServicesFile reports whether the node runs without a configuration.
func usesServicesFile(cfg *Config) bool {
	if len(cfg.Registries) != 1 {
		return false
	}
	o, ok := cfg.Registries[0].options.(*file.Options)
	return ok && len(o.Path) == 1 && o.Path[0] == servicesFile
}

// provideServices writes a commented sample where there is no file, and says
// what the node will serve.
func provideServices(path string) string {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if _, err = os.Stat(path); err == nil { // else a link that leads nowhere
			return "serving " + path
		}
	} else if err == nil {
		_, err = f.Write(servicesSample)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Sprintf("serving %s, which cannot be read or written (%v): starting empty", path, err)
	}
	return "serving " + path + ", a sample written just now: edit it, changes are seen at once"
}
