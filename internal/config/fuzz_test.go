// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// FuzzLoad loads files that anybody may have written. A file that is accepted is accepted again in the operator's own
// words, and means the same. A refused one is refused with a reason.
func FuzzLoad(f *testing.F) {
	f.Add("")
	f.Add(head)
	f.Add(head + "namespaces: [a, b]\ncontrollers: {group: {concurrency: 3}, restarts: {baseDelay: 1s}}\n")
	f.Add(head + "webhook: {port: 70000, certificate: {files: {}, authority: {}}}\n")
	f.Add(head + "metrics: {bindAddress: \":8443\"}\ntls: {minVersion: VersionTLS13, cipherSuites: [x]}\n")
	f.Add(head + "a: &a [*a]\n")
	f.Add(head + "namespaces: &n [a]\nfeatureGates: *n\n")
	f.Add(head + "<<: {namespaces: [a]}\n? [a]\n: b\n")
	f.Add("a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n")
	f.Add(strings.Repeat("[", 2000))
	f.Add(strings.Repeat("a: {", 2000))
	f.Fuzz(func(t *testing.T, content string) {
		settings, err := load(content)
		if err != nil {
			if err.Error() == "" {
				t.Error("refused without a reason")
			}
			return
		}
		text, err := yaml.Marshal(settings.OperatorConfiguration)
		if err != nil {
			t.Fatal(err)
		}
		again, err := load(string(text))
		if err != nil {
			t.Fatalf("the effective configuration is refused: %v\n%s", err, text)
		}
		if diff := cmp.Diff(settings.OperatorConfiguration, again.OperatorConfiguration); diff != "" {
			t.Errorf("the effective configuration means something else: %s", diff)
		}
	})
}
