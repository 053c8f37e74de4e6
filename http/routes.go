package http

import "github.com/edgecache/edgecache/registry"

// A handler answers a call. An error is answered with its problem.
type handler func(s *Server, c *call) error

// A route is one row of a port's table. In a pattern {x} stands for one
// segment, or at the end for all that is left, slashes too.
type route struct {
	method  string // GET serves HEAD too
	pattern string
	scope   string // what the caller's token must allow, one of several with spaces between; "": no token is asked for
	class   class  // what it is counted as
	handle  handler
}

// nativeRoutes are served on both ports.
var nativeRoutes = []route{
	{"GET", "/v1/services/{name}", scopeRead, classLookup, (*Server).lookup},
	{"GET", "/v1/registries/{registry}/services/{name}", scopeRead, classLookup, (*Server).lookup},
	{"GET", "/v1/services", scopeRead, classList, (*Server).list},
	{"GET", "/v1/registries/{registry}/services", scopeRead, classList, (*Server).list},
	{"POST", "/v1/lookup", scopeRead, classBatch, (*Server).batch},
	{"GET", "/v1/watch", scopeRead, classWatch, (*Server).watch},
	{"GET", "/healthz", "", classHealth, (*Server).healthz},
	{"GET", "/readyz", "", classHealth, (*Server).readyz},
}

// adminRoutes are served on the admin port besides.
var adminRoutes = []route{
	{"POST", "/v1/invalidate", scopeInvalidate, classAdmin, (*Server).invalidate},
	{"GET", "/v1/invalidations/{id}", scopeFollow, classAdmin, (*Server).invalidation},
	{"POST", "/v1/refresh", scopeInvalidate, classAdmin, (*Server).refresh},
	{"GET", "/v1/report", scopeFollow, classAdmin, (*Server).report},
	{"POST", "/v1/config/reload", scopeAdmin, classAdmin, (*Server).reload},
	{"GET", "/v1/status", scopeRead, classAdmin, (*Server).status},
	{"GET", "/v1/members", scopeRead, classAdmin, (*Server).members},
	{"POST", "/v1/members/{name}/forget", scopeAdmin, classAdmin, (*Server).forgetMember},
	{"GET", "/v1/keyring", scopeAdmin, classAdmin, (*Server).keyring},
	{"POST", "/v1/keyring/install", scopeAdmin, classAdmin, rotate(registry.KeyringInstall)},
	{"POST", "/v1/keyring/use", scopeAdmin, classAdmin, rotate(registry.KeyringUse)},
	{"POST", "/v1/keyring/remove", scopeAdmin, classAdmin, rotate(registry.KeyringRemove)},
	{"GET", "/v1/registries", scopeRead, classAdmin, (*Server).registries},
	{"GET", "/v1/plugins", scopeRead, classAdmin, (*Server).plugins},
	{"POST", "/v1/plugins/{name}/reload", scopeAdmin, classAdmin, (*Server).reloadPlugin},
	{"GET", "/v1/entries", scopeRead, classAdmin, (*Server).entries},
	{"GET", "/metrics", scopeMetrics, classAdmin, (*Server).metrics},
	{"GET", "/debug/pprof/", scopeAdmin, classAdmin, (*Server).pprofIndex},
	{"GET", "/debug/pprof/{profile}", scopeAdmin, classAdmin, (*Server).pprof},
}
