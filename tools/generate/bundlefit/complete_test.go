// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const generated = `
kind: ClusterServiceVersion
metadata:
  annotations:
    alm-examples: '[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}},{"metadata":{"name":"c"}}]'
    createdAt: "2026-11-21T11:00:46Z"
  name: operator.v1.0.0
spec:
  install:
    spec:
      deployments:
      - name: operator
        spec:
          template:
            spec:
              containers:
              - image: example.com/proxy:v3
                name: proxy
              - image: example.com/operator:dev
                name: manager
`

const completed = `kind: ClusterServiceVersion
metadata:
  annotations:
    alm-examples: |-
      [
        {
          "metadata": {
            "name": "b"
          }
        },
        {
          "metadata": {
            "name": "a"
          }
        },
        {
          "metadata": {
            "name": "c"
          }
        }
      ]
    containerImage: example.com/operator:v1
    createdAt: "2026-01-31T00:00:00Z"
  name: operator.v1.0.0
spec:
  icon:
  - base64data: PHN2Zy8+
    mediatype: image/svg+xml
  install:
    spec:
      deployments:
      - name: operator
        spec:
          template:
            spec:
              containers:
              - image: example.com/proxy:v3
                name: proxy
              - image: example.com/operator:v1
                name: manager
  relatedImages:
  - image: example.com/operator:v1
    name: manager
`

var example = completion{
	icon: []byte("<svg/>"), image: "example.com/operator:v1", created: "2026-01-31T00:00:00Z", first: "b",
}

func TestApply(t *testing.T) {
	once, err := example.apply([]byte(generated))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(completed, string(once)); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	twice, err := example.apply(once)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(once), string(twice)); diff != "" {
		t.Errorf("completed again (-once +twice):\n%s", diff)
	}
}

func TestApplyFails(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"no example of that name": {`"b"`, `"d"`, `no example "b"`},
		"examples aren't JSON":    {`'[{`, `'[`, "annotation alm-examples"},
		"no examples":             {"alm-examples", "examples", "want a string"},
		"no such container":       {"name: manager", "name: operator", "no container manager"},
		"no deployments":          {"deployments", "jobs", "[install spec deployments]: want a []interface {}"},
		"no spec":                 {"spec:\n  install", "status:\n  install", "[spec]: want a map[string]interface {}"},
		"not YAML":                {"kind:", "kind: :", "mapping values"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(generated, test.from, test.to, 1)
			if changed == generated {
				t.Fatalf("%q isn't in the ClusterServiceVersion", test.from)
			}
			if _, err := example.apply([]byte(changed)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
}
