package cache

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// registriesName is where the names of all registries are kept of which the
// disk may have entries. No registry's name has a slash.
const registriesName = "/registries"

// fingerprint names a registry's identity, which may hold credentials, without
// telling it.
func (u *upstream) fingerprint() string {
	sum := sha256.Sum256([]byte(u.Type + "\x00" + u.Identity))
	return fmt.Sprintf("%x", sum[:16])
}

// recognise compares the registries with those that the entries on disk came
// from. What came from another one cannot be compared by revision.
func (d *disk) recognise() {
	directory := d.store.Directory()
	same := directory != 0
	var known []string
	if names, err := d.store.Identity(registriesName); err == nil && names != "" {
		known = strings.Split(names, ",")
	}
	for _, u := range d.c.ups.Load().all {
		if u.merges() {
			continue
		}
		was, err := d.store.Identity(u.Name)
		fingerprint, moved := "", uint64(0)
		if err == nil {
			fmt.Sscanf(was, "%s %d", &fingerprint, &moved)
		}
		d.c.order.Lock()
		if fingerprint == u.fingerprint() {
			u.moved = moved
		} else {
			u.moved, same = d.c.gens.next(), false
		}
		d.c.order.Unlock()
		same = same && slices.Contains(known, u.Name)
	}
	d.c.order.Lock()
	defer d.c.order.Unlock()
	d.known = known
	if same {
		d.identified = directory
	}
}

// identify writes which registries the entries come from, before any of them is
// written to a directory, and after a reload. Beside each identity stands the
// position from which on it is the registry's.
func (d *disk) identify(directory uint32) error {
	type identity struct{ name, text string }
	d.c.order.Lock()
	if d.identified == directory {
		d.c.order.Unlock()
		return nil
	}
	d.identified = directory
	list := []identity{{}}
	for _, u := range d.c.ups.Load().all {
		if u.merges() {
			continue
		}
		list = append(list, identity{u.Name, fmt.Sprintf("%s %d", u.fingerprint(), u.moved)})
		if !slices.Contains(d.known, u.Name) {
			d.known = append(d.known, u.Name)
		}
	}
	list[0] = identity{registriesName, strings.Join(d.known, ",")}
	d.c.order.Unlock()
	for _, i := range list {
		if err := d.store.SetIdentity(i.name, i.text); err != nil {
			d.identifyAnew()
			return err
		}
	}
	return nil
}

// identifyAnew makes the writer write the identities again.
func (d *disk) identifyAnew() {
	d.c.order.Lock()
	d.identified = 0
	d.c.order.Unlock()
	d.wakeWriter()
}

// reloaded follows a change of the registries.
func (d *disk) reloaded() {
	us := d.c.ups.Load()
	d.c.order.Lock()
	for k, w := range d.pending {
		if us.byName[k.Registry] == nil {
			d.bytes -= w.bytes
			w.entry, w.bytes = nil, 0
		}
	}
	if d.open {
		d.spawn(d.purge)
	}
	d.c.order.Unlock()
	d.identifyAnew()
}

// purge deletes what the disk has of registries that are gone: nothing judges
// it any more, and should they come back after a restart, what was invalidated
// meanwhile would not be known of it.
func (d *disk) purge() {
	d.settle(d.c.ctx)
	d.c.order.Lock()
	known := slices.Clone(d.known)
	d.c.order.Unlock()
	for _, name := range known {
		if d.c.ups.Load().byName[name] != nil {
			continue
		}
		if err := d.purgeRegistry(name); err != nil {
			d.warn("entries of a registry that is gone not deleted from disk", err)
			continue
		}
		d.c.order.Lock()
		if d.c.ups.Load().byName[name] == nil {
			d.known = slices.DeleteFunc(d.known, func(n string) bool { return n == name })
		}
		d.c.order.Unlock()
		d.identifyAnew()
	}
}

func (d *disk) purgeRegistry(name string) error {
	return d.pages(name, nil, func(page []*registry.Stored) error {
		if d.c.ups.Load().byName[name] != nil {
			return fmt.Errorf("registry %s: it is back", name)
		}
		directory := d.store.Directory()
		var keys []registry.Key
		for _, s := range page {
			keys = append(keys, registry.Key{Registry: name, Name: s.Name})
		}
		if len(keys) == 0 || directory == 0 {
			return nil
		}
		d.c.stats.deleted.Add(uint64(len(keys)))
		return d.store.Write(directory, nil, nil, keys)
	})
}
