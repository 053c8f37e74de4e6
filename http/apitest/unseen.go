package apitest

import (
	"fmt"
	"slices"
	"strings"
)

// Unseen returns what is declared and was not seen.
func (s *Spec) Unseen() (list []string) {
	want := func(id string) {
		if !s.seen[id] {
			list = append(list, id)
		}
	}
	responses := map[string]map[string]any{}
	for _, p := range s.Paths {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			op, _ := p.item[strings.ToLower(method)].(map[string]any)
			if op == nil {
				continue
			}
			id := method + " " + p.Template
			want(id)
			params, _ := op["parameters"].([]any)
			for _, node := range params {
				param, _ := s.resolve(node, "")
				want(fmt.Sprintf("%s %s %s", id, param["in"], param["name"]))
			}
			if body, _ := op["requestBody"].(map[string]any); body != nil {
				schema, _ := s.resolve(body["content"].(map[string]any)["application/json"].(map[string]any)["schema"], "")
				fields, _ := schema["properties"].(map[string]any)
				for name := range fields {
					want(id + " field " + name)
				}
			}
			for status, node := range op["responses"].(map[string]any) {
				want(id + " " + status)
				response, name := s.resolve(node, id+" "+status)
				responses[name] = response
			}
		}
	}
	for name, response := range responses {
		headers, _ := response["headers"].(map[string]any)
		for h := range headers {
			want(name + " header " + h)
		}
		content, _ := response["content"].(map[string]any)
		for media := range content {
			want(name + " content " + media)
		}
	}
	slices.Sort(list)
	return list
}
