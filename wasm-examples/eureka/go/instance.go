package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

// An application is one of Eureka's, with its instances by their ids, in the order
// of the answer.
type application struct {
	name      string
	ids       []string
	instances map[string]*instance
}

// An instance is what a record says of one.
type instance struct {
	said     said
	metadata [][2]string

	status  string
	updated int64
	gone    bool  // as a change says
	wrong   error // why it is left out of records
}

// What is said of an instance beside its metadata, and can be compared.
type said struct {
	id, address, node, url, zone, region, version string
	port                                          uint16
	tls                                           bool
	health                                        edgecache.Health
	registered                                    int64
}

func (in *instance) equal(other *instance) bool {
	return in.said == other.said && slices.Equal(in.metadata, other.metadata) && (in.wrong == nil) == (other.wrong == nil)
}

// take takes an instance of an answer. One that was not understood is logged, and
// left out of records: clients register what they like.
func (app *application) take(in *instance) {
	if in.said.id == "" { // it counts, though nobody can tell which it is
		in.said.id = fmt.Sprint("?", len(app.ids))
	}
	if in.wrong != nil {
		edgecache.Log(edgecache.Warn, fmt.Sprintf("%s: instance %q is left out: %v", app.name, in.said.id, in.wrong))
	}
	app.add(in)
}

// add adds an instance, in the place of one that has its id.
func (app *application) add(in *instance) {
	if app.instances[in.said.id] == nil {
		app.ids = append(app.ids, in.said.id)
	}
	app.instances[in.said.id] = in
}

func (app *application) remove(id string) {
	delete(app.instances, id)
	app.ids = slices.DeleteFunc(app.ids, func(of string) bool { return of == id })
}

func (app *application) clone() *application {
	return &application{app.name, slices.Clone(app.ids), maps.Clone(app.instances)}
}

func (app *application) equal(other *application) bool {
	return maps.EqualFunc(app.instances, other.instances, (*instance).equal)
}

// unreadable reports that there are instances and none was understood: what it
// would say is "nobody is there".
func (app *application) unreadable() bool {
	for _, in := range app.instances {
		if in.wrong == nil {
			return false
		}
	}
	return len(app.instances) > 0
}

func (app *application) record(name string) []byte {
	r := edgecache.NewRecord(name)
	for _, id := range app.ids {
		in := app.instances[id]
		if in.wrong != nil {
			continue
		}
		s := &in.said
		made := r.Instance(s.id).Address(s.address).Port(s.port).TLS(s.tls).Node(s.node).URL(s.url).Zone(s.zone).Region(s.region).Version(s.version).Health(s.health)
		if s.registered > 0 {
			made.Registered(time.UnixMilli(s.registered))
		}
		for _, pair := range in.metadata {
			made.Metadata(pair[0], pair[1])
		}
	}
	return r.JSON()
}

var healths = map[string]edgecache.Health{
	"UP":             edgecache.Passing,
	"DOWN":           edgecache.Critical,
	"STARTING":       edgecache.Critical, // it does not take requests yet
	"OUT_OF_SERVICE": edgecache.Maintenance,
}

// newInstance understands what Eureka said; wrong is what could not be read of it.
func newInstance(w *wireInstance, wrong error) *instance {
	in := &instance{status: w.status, gone: w.action == "DELETED", wrong: wrong}
	s := &in.said
	s.id = cmp.Or(w.id, w.amazonID, w.host)
	if in.status == "" {
		in.status = "UNKNOWN"
	}
	if wrong != nil {
		return in
	}
	in.wrong = errors.Join(
		in.reach(w),
		number(w.updated, "lastUpdatedTimestamp", math.MaxInt64, &in.updated),
		number(w.registered, "leaseInfo.registrationTimestamp", math.MaxInt64, &s.registered),
	)
	s.health, s.node = healths[in.status], w.host
	s.zone, s.region, s.version = cmp.Or(of(w.metadata, "zone"), w.zone), of(w.metadata, "region"), of(w.metadata, "version")
	in.keep(w)
	return in
}

// reach says where the instance is.
func (in *instance) reach(w *wireInstance) error {
	s := &in.said
	s.address = w.ip
	if config.address == "host" && w.host != "" || w.ip == "" {
		s.address = w.host
	}
	if s.address == "" {
		return errors.New("ipAddr: an address expected, found none")
	}
	if _, err := netip.ParseAddr(s.address); err != nil && strings.ContainsAny(s.address, " /[]:\t\r\n") {
		return fmt.Errorf("ipAddr or hostName: %q: a host's name or an IP address expected", s.address)
	}
	var plain, secure int64
	if err := errors.Join(number(w.port.number, "port.$", math.MaxUint16, &plain), number(w.securePort.number, "securePort.$", math.MaxUint16, &secure)); err != nil {
		return err
	}
	s.port = uint16(plain)
	s.tls = w.securePort.enabled == "true" && (config.secure || w.port.enabled == "false")
	if s.tls {
		s.port = uint16(secure)
	}
	if strings.HasPrefix(w.homePage, "http://") || strings.HasPrefix(w.homePage, "https://") {
		s.url = w.homePage
	}
	return nil
}

// keep keeps its metadata, without what Java's encoders say of themselves, and
// what else clients ask for.
func (in *instance) keep(w *wireInstance) {
	metadata := slices.DeleteFunc(w.metadata, func(pair [2]string) bool { return strings.HasPrefix(pair[0], "@") })
	for _, more := range [...][2]string{{"vipAddress", w.vip}, {"secureVipAddress", w.secureVIP}} {
		if more[1] != "" && of(metadata, more[0]) == "" {
			metadata = append(metadata, more)
		}
	}
	slices.SortFunc(metadata, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	in.metadata = metadata
}

// of returns a value of metadata.
func of(metadata [][2]string, key string) string {
	for i := range metadata {
		if metadata[i][0] == key {
			return metadata[i][1]
		}
	}
	return ""
}

// number reads a whole number, which may be missing.
func number(text, field string, most int64, n *int64) error {
	if text == "" {
		return nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || value > most {
		return fmt.Errorf("%s: %q: a whole number from 0 to %d expected", field, text, most)
	}
	*n = value
	return nil
}
