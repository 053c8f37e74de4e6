package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestThreeRegistriesInOrder(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	c.register("web", "web-consul", 80)
	c.register("shared", "shared-consul", 81)
	c.register("part", "part-consul", 82)
	u := newUpstream(t)
	u.set("billing", "billing-http")
	u.set("part", "part-http")
	u.set("shared", "shared-http")
	path := filepath.Join(t.TempDir(), "services.yaml")
	writeFile(t, path, `services:
  - {name: static, instances: [{id: static-file, address: 10.1.0.1, port: 80}]}
  - {name: shared, instances: [{id: shared-file, address: 10.1.0.2, port: 80}]}
`)
	registries := fmt.Sprintf(`registries:
  - {name: consul, type: consul, address: ["%s"]}
  - {name: files, type: file, path: %s}
  - {name: catalog, type: httpjson, address: "%s", path: "/s/{name}", list: /names}
`, c.url(), path, u.URL)

	t.Run("each answers for its own", func(t *testing.T) {
		n := start(t, loopback+registries)
		for name, want := range map[string]string{
			"web": "consul/web-consul", "static": "files/static-file", "billing": "catalog/billing-http",
			"shared": "consul/shared-consul", "part": "consul/part-consul",
		} {
			if a := n.get("/v1/services/" + name); a.status != 200 || a.Registry+"/"+a.ids() != want {
				t.Errorf("%s: %v, want %s", name, a, want)
			}
			n.awaits("it is fresh", "/v1/services/"+name, func(a *answer) bool { return a.status == 200 && !a.Stale })
		}
		for _, registry := range []string{"consul", "files", "catalog"} {
			a := n.get("/v1/registries/" + registry + "/services/shared")
			if want := "shared-" + strings.NewReplacer("files", "file", "catalog", "http").Replace(registry); a.ids() != want || a.Registry != registry {
				t.Errorf("shared of %s: %v, want %s", registry, a, want)
			}
		}
		for path, status := range map[string]int{
			"/v1/services/nowhere": 404, "/v1/registries/files/services/web": 404, "/v1/registries/nobody/services/web": 404,
		} {
			if a := n.get(path); a.status != status {
				t.Errorf("%s: %v, want %d", path, a, status)
			}
		}
		a := n.awaits("the list is complete", "/v1/services", func(a *answer) bool { return a.status == 200 && a.Complete })
		if got, want := rows(a), "billing/catalog consul/consul part/consul shared/consul static/files web/consul"; got != want {
			t.Errorf("list = %s, want %s", got, want)
		}
		if got, want := rows(n.get("/v1/registries/catalog/services")), "billing/catalog part/catalog shared/catalog"; got != want {
			t.Errorf("list of catalog = %s, want %s", got, want)
		}
	})

	t.Run("two of them merged", func(t *testing.T) {
		n := start(t, loopback+registries+"  - {name: both, type: merge, of: [catalog, consul]}\n")
		a := n.get("/v1/services/part")
		if a.Registry != "both" || a.ids() != "catalog/part-http consul/part-consul" {
			t.Errorf("part = %v", a)
		}
		if a := n.get("/v1/registries/both/services/web"); a.ids() != "consul/web-consul" {
			t.Errorf("web = %v", a)
		}
		if a := n.get("/v1/services/shared"); a.Registry != "files" {
			t.Errorf("shared = %v, want files: the parts have left the order", a)
		}
		list := n.awaits("the list is complete", "/v1/services", func(a *answer) bool { return a.status == 200 && a.Complete })
		if got, want := rows(list), "billing/both consul/both part/both shared/files static/files web/both"; got != want {
			t.Errorf("list = %s, want %s", got, want)
		}
		if a := n.ask(http.MethodGet, "/v1/registries", ""); len(a.Registries) != 4 {
			t.Errorf("registries = %v, want 4", a)
		}
	})
}

func rows(a *answer) string {
	var out []string
	for _, row := range a.Services {
		out = append(out, row.Name+"/"+row.Registry)
	}
	return strings.Join(out, " ")
}
