package http

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestExprErrorsSayWhereAndWhatIsRight(t *testing.T) {
	for text, want := range map[string]string{
		`zonee == "a"`:                        `byte 1: zonee: no field "zonee"; did you mean "zone"?`,
		`id == "x" and quux == 1`:             `byte 15: quux: no field "quux"; there are address`,
		`port == "many"`:                      `byte 1: port: "many" is not a value of a integer`,
		`tls == maybe`:                        `is not a value of a boolean`,
		`tags == "v1"`:                        `the operator "equal" does not go with a list`,
		`port matches "8.*"`:                  `does not go with a integer`,
		`id matches "("`:                      `missing closing )`,
		`metadata.a.b == "c"`:                 `a string has no field "b"`,
		`any zone as z { z == "a" }`:          `any and all need a list or a map`,
		`any endpoints as e { e.prt == 1 }`:   `no field "prt"; did you mean "port"?`,
		`zone = "a"`:                          `1:`,
		``:                                    `1:`,
		`zone < "a"`:                          `1:`,
		`id == "` + strings.Repeat("x", 1100): `the most is 1024`,
		strings.Repeat("any tags as t { ", 3) + "t == x" + strings.Repeat(" }", 3): `2 deep`,
		strings.Repeat("(", 1000): `write it flatter`,
	} {
		if _, err := compileExpr(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

func TestExprMatches(t *testing.T) {
	rec := testRecord(3)
	for text, want := range map[string]string{
		`zone == "eu-1a"`:                                                             "100",
		`metadata.canary == "true"`:                                                   "000",
		`metadata.none != "x" and zone != "eu-1b"`:                                    "101",
		`"v1" in tags and port == 8080`:                                               "111",
		`any endpoints as e { e.address == "10.0.0.1" }`:                              "010",
		`weight == 1 and health == passing`:                                           "111",
		`tags contains "v2" or id matches "-[12]$"`:                                   "011",
		`((zone == a) or ((id == "web-1") and (port == 8080))) and not (tls == true)`: "010",
		`any endpoints as e { any tags as t { e.port == 8080 and t == "v1" } }`:       "111",
		`registered is empty and url is empty`:                                        "111",
		`all metadata as k, v { k == canary and v != x }`:                             "111",
	} {
		x, err := compileExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ""
		for i := range rec.Instances {
			got += map[bool]string{true: "1", false: "0"}[x.Match(rec, i)]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Many goroutines, records and texts, far more than are kept.
func TestExprCacheIsBoundedAndSafe(t *testing.T) {
	e := newExprCache()
	records := make([]*registry.Record, 8)
	for i := range records {
		records[i] = testRecord(i + 1)
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 600 {
				text := `zone == "eu-1a" or id matches "x` + strconv.Itoa(i%400) + `"`
				x, err := e.get(text)
				if err != nil || x.Text() != text {
					t.Errorf("%s: %v", text, err)
					return
				}
				rec := records[(i+g)%len(records)]
				for j := range rec.Instances {
					if x.Match(rec, j) != (rec.Instances[j].Zone == "eu-1a") {
						t.Errorf("%s: instance %d is judged wrong", text, j)
					}
				}
			}
		})
	}
	all.Wait()
	if n := len(e.byText); n > maxExprs {
		t.Errorf("%d expressions are kept, the most is %d", n, maxExprs)
	}
}
