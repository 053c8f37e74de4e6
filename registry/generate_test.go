package registry_test

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

var (
	text     = rapid.OneOf(rapid.Just(""), rapid.StringN(0, 12, 40), rapid.SampledFrom([]string{"a", "\x00", "é", "\u2028", `"\`}))
	texts    = rapid.Map(rapid.SliceOfN(text, 0, 3), nilIfEmpty)
	metadata = rapid.Map(rapid.MapOfN(text, text, 0, 12), registry.MetadataOf)
	document = rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "document")...)
	})
	host = rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "web.local"})
)

func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}

// endpoints that the JSON form can say: with an address or a URL.
var endpointGen = rapid.Custom(func(t *rapid.T) registry.Endpoint {
	e := registry.Endpoint{
		Name: text.Draw(t, "name"), Protocol: rapid.SampledFrom([]string{"", "tcp", "http"}).Draw(t, "protocol"),
		Port: rapid.Uint16().Draw(t, "port"), TLS: rapid.Bool().Draw(t, "tls"),
	}
	shape := rapid.IntRange(0, 2).Draw(t, "shape")
	if shape != 0 {
		e.Address = host.Draw(t, "address")
	}
	if shape != 1 {
		e.URL = "http://" + text.Draw(t, "url")
	}
	return e
})

var recordGen = rapid.Custom(func(t *rapid.T) *registry.Record {
	r := &registry.Record{
		Key:      registry.Key{Registry: text.Draw(t, "registry"), Name: rapid.StringMatching(`[a-zé]{1,8}(/[a-z]{1,3})?`).Draw(t, "name")},
		Kind:     rapid.SampledFrom([]registry.Kind{"", registry.KindService, registry.KindMCP}).Draw(t, "kind"),
		Revision: registry.Revision{Epoch: rapid.Uint64().Draw(t, "epoch"), Order: rapid.Uint64().Draw(t, "order"), Token: text.Draw(t, "token")},
		Metadata: metadata.Draw(t, "metadata"), Tags: texts.Draw(t, "tags"),
		Document: document.Draw(t, "document"), MediaType: text.Draw(t, "media"), Wishes: registry.NoWishes,
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "instances") {
		in := registry.Instance{
			ID: fmt.Sprintf("%d-%s", i, text.Draw(t, "id")), Endpoints: rapid.SliceOfN(endpointGen, 1, 3).Draw(t, "endpoints"),
			Health: registry.Health(rapid.IntRange(0, 5).Draw(t, "health")), Weight: rapid.Uint32().Draw(t, "weight"),
			Priority: rapid.Uint16().Draw(t, "priority"), Version: text.Draw(t, "version"), Node: text.Draw(t, "node"),
			Region: text.Draw(t, "region"), Zone: text.Draw(t, "zone"), Tags: texts.Draw(t, "tags"),
			Metadata: metadata.Draw(t, "metadata"), Registered: rapid.Int64Range(0, 253402300799999).Draw(t, "registered"),
		}
		if n := len(r.Document); n > 0 && rapid.Bool().Draw(t, "raw") {
			off := rapid.IntRange(0, n-1).Draw(t, "off")
			in.Raw = registry.Span{Off: uint32(off), Len: uint32(rapid.IntRange(1, n-off).Draw(t, "len"))}
		}
		r.Instances = append(r.Instances, in)
	}
	for range rapid.IntRange(0, 2).Draw(t, "versions") {
		r.Versions = append(r.Versions, registry.Version{
			Version: rapid.StringN(1, 5, -1).Draw(t, "version"), Status: rapid.SampledFrom([]string{"", "active", "deleted"}).Draw(t, "status"),
			Labels: texts.Draw(t, "labels"), Metadata: metadata.Draw(t, "metadata"), Document: document.Draw(t, "document"),
			MediaType: text.Draw(t, "media"), Updated: rapid.Int64Range(0, 253402300799999).Draw(t, "updated"),
		})
	}
	return r
})
