// Package pdk holds the kits for authors of plugins, one folder a language, and
// the plugins that new ones begin as, for `edgecache plugin new`.
package pdk

import "embed"

// Files are the kits in as, c, go and rust, and templates in new/KIND/LANGUAGE,
// where NAME in a file's name and {{name}} in its text stand for the plugin's.
//
//go:embed as c go rust new
var Files embed.FS
