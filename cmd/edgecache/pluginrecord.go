package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/plugins"
)

// A recording says what is to be recorded of an adapter.
type recording struct {
	files   pluginFiles
	config  string
	allow   []string
	secrets map[string]string
	lookups []string
	list    bool
	poll    bool
	ca      string
	output  string
}

func pluginRecordCommand(g *globals) *cobra.Command {
	var r recording
	c := &cobra.Command{
		Use:   "record [MODULE.wasm] --allow ORIGIN --lookup NAME",
		Short: "Have an adapter ask its real registry, and write a fixture of it",
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cases := r.cases()
			if len(cases) == 0 {
				return usageError(cmd, errors.New("what to record? --lookup NAME, --list or --poll expected"))
			}
			return r.record(cmd, g, hereOr(args), cases)
		},
	}
	r.files.flags(c, false)
	c.Flags().StringVar(&r.config, "config", "{}", "the plugin's configuration, as JSON")
	c.Flags().StringArrayVar(&r.allow, "allow", nil, "an origin that it may reach; repeatable")
	c.Flags().StringToStringVar(&r.secrets, "secret", nil, "NAME=FILE, for ${secret.NAME}; repeatable")
	c.Flags().StringVar(&r.ca, "ca", "", "PEM file of the authorities of its certificate (default: the system's)")
	c.Flags().StringSliceVar(&r.lookups, "lookup", nil, "names to look up")
	c.Flags().BoolVar(&r.list, "list", false, "list all names")
	c.Flags().BoolVar(&r.poll, "poll", false, "poll once, from the beginning")
	c.Flags().StringVarP(&r.output, "output", "o", "recorded.yaml", "the fixture")
	return c
}

func (r *recording) cases() []plugins.AdapterCase {
	var list []plugins.AdapterCase
	for _, name := range r.lookups {
		list = append(list, plugins.AdapterCase{Name: "lookup " + name, Lookup: name})
	}
	if r.list {
		list = append(list, plugins.AdapterCase{Name: "list", List: &[]string{}})
	}
	if r.poll {
		list = append(list, plugins.AdapterCase{Name: "poll", Poll: new(string)})
	}
	return list
}

func (r *recording) record(cmd *cobra.Command, g *globals, path string, cases []plugins.AdapterCase) error {
	m, err := r.files.load(path)
	if err != nil {
		return err
	}
	o := plugins.AdapterDefaults()
	o.TLS.CA = r.ca
	o.Plugin, o.Allow, o.Secrets = m.Path, r.allow, map[string]plugins.Secret{}
	if err := json.NewDecoder(strings.NewReader(r.config)).Decode(&o.Config); err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	for name, file := range r.secrets {
		o.Secrets[name] = plugins.Secret{File: file, To: r.allow}
	}
	f, err := plugins.Record(cmd.Context(), m, o, cases, pluginLogger(g, true))
	if err != nil {
		return err
	}
	if err := f.Write(r.output); err != nil {
		return err
	}
	for i := range f.Cases {
		if failed := f.Cases[i].Error; failed != "" {
			fmt.Fprintf(g.stderr, "%s failed, and the fixture expects that: %s\n", f.Cases[i].Name, clean(failed))
		}
	}
	fmt.Fprintf(g.stdout, "%s: %s, %s; next: edgecache plugin test %s\n", r.output, plural(len(f.Exchanges), "exchange"), plural(len(f.Cases), "case"), m.Path)
	return nil
}
