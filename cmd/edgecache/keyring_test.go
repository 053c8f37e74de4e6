package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyringText is the configuration of a node that has keys.
const keyringText = `
node: {name: test, data_dir: %s, zone: eu-1a}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
gossip: {peer_listen: "127.0.0.1:0", secret_file: %s}
log: {level: error}
`

func TestKeyringCommands(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	secret := file("secret", "the first key of a cluster\n")
	first, second := file("first", "the first key of a cluster\n"), file("second", "  the second key of a cluster\n")
	short, two, empty := file("short", "short"), file("two", "a key of one line\nand of another\n"), file("empty", "\n")
	admin := runNode(t, fmt.Sprintf(keyringText, t.TempDir(), secret), nil)
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"list"}, 0, "test"},
		{[]string{"use", second}, 1, "is not installed on test: install it first"},
		{[]string{"install", second}, 0, "INSTALLED"},
		{[]string{"install", second, "-o", "json"}, 0, `"done": true`},
		{[]string{"remove", first}, 1, "is in use on test: use another first"},
		{[]string{"use", second}, 0, "key "},
		{[]string{"remove", first}, 0, "key "},
		{[]string{"install", short}, 1, "a key of 5 characters, at least 16 expected"},
		{[]string{"install", two}, 1, "one key expected"},
		{[]string{"install", empty}, 1, "one key expected"},
		{[]string{"install", filepath.Join(dir, "none")}, 1, "no such file"},
		{[]string{"install"}, 2, "accepts 1 arg"},
		{[]string{"rotate"}, 2, "list, install, use or remove expected"},
	} {
		code, out, errs := command(t, admin, append([]string{"keyring"}, tc.args...)...)
		if code != tc.code || !strings.Contains(out+errs, tc.want) {
			t.Errorf("keyring %q = %d, want %d and %q\n%s%s", tc.args, code, tc.code, tc.want, out, errs)
		}
		if strings.Contains(out+errs, "key of a cluster") {
			t.Errorf("keyring %q shows a key:\n%s%s", tc.args, out, errs)
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "the second key of a cluster\n" {
		t.Errorf("secret_file has %q, %v", text, err)
	}
	if code, out, _ := command(t, admin, "members"); code != 0 || !strings.Contains(out, "eu-1a") || !strings.Contains(out, "VERSION") {
		t.Errorf("members = %d\n%s", code, out)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	writeFile(t, again, "the third key of a cluster\n")
	if code, out, errs := command(t, admin, "keyring", "install", again); code != exitUnconfirmed || !strings.Contains(errs, "not confirmed in time by test: ") {
		t.Errorf("a file that cannot be written = %d\n%s%s", code, out, errs)
	}
}

func TestKeyringOfANodeThatIsAlone(t *testing.T) {
	admin, _ := realNode(t)
	if code, _, errs := command(t, admin, "keyring", "list"); code != exitFailed || !strings.Contains(errs, "this node is alone") {
		t.Errorf("keyring list = %d %s", code, errs)
	}
}

func TestTheSecondPathListensWhereItMay(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	writeFile(t, secret, "a key of a cluster\n")
	for text, want := range map[string]string{
		`peer_listen: "127.0.0.1:7402"`:                                      "127.0.0.1:0",
		`secret_file: ` + secret:                                             ":7403",
		`{peer_listen: "10.0.0.1:7500", insecure: true}`:                     "10.0.0.1:7403",
		`{secret_file: ` + secret + `, listen: "[::]:7000"}`:                 "[::]:7000",
		`{peer_listen: ":7402", tls: {cert: c.pem, key: k.pem, ca: ca.pem}}`: "",
		`{label: a, peer_listen: "[::1]:7402"}`:                              "[::1]:0",
	} {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "}"
		}
		cfg, _ := parse(t, fmt.Sprintf("node: {data_dir: %s}\ngossip: %s\n", dir, text), nil, nil)
		if cfg.Gossip.Listen != want {
			t.Errorf("%s: listens at %q, want %q", text, cfg.Gossip.Listen, want)
		}
	}
	if cfg, _ := parse(t, "", nil, nil); cfg.Gossip.Listen != "" || cfg.clustered() {
		t.Errorf("a node without gossip: %+v", cfg.Gossip)
	}
	for text, want := range map[string]string{
		`{peer_listen: "127.0.0.1:7402", listen: ":7403"}`:              "gossip.listen: :7403 can be reached from other machines: set secret_file, or insecure: true",
		`{peer_listen: "127.0.0.1:7402", listen: "7403"}`:               `gossip.listen: "7403": host:port expected, for example :7403`,
		`{listen: ":7403", tls: {cert: c.pem, key: k.pem, ca: ca.pem}}`: "gossip.listen: :7403 can be reached",
	} {
		if got := refused(t, fmt.Sprintf("node: {data_dir: %s}\ngossip: %s\n", dir, text), nil, nil); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", text, got, want)
		}
	}
}
