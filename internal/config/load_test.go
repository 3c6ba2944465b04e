// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

const head = "apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1\nkind: OperatorConfiguration\n"

// load loads a file with the content from the default path.
func load(content string, args ...string) (*Settings, error) {
	return Load(args, false, func(string) ([]byte, error) { return []byte(content), nil }, io.Discard)
}

func mustLoad(t *testing.T, content string, args ...string) v1alpha1.OperatorConfiguration {
	t.Helper()
	settings, err := load(content, args...)
	if err != nil {
		t.Fatal(err)
	}
	return settings.OperatorConfiguration
}

// TestPrecedence checks that the file overrides defaults, and that flags override the file if they are set.
func TestPrecedence(t *testing.T) {
	file := head + `
clientConnection: {qps: 50}
leaderElection: {leaderElect: false, namespace: file}
metrics: {secure: false}
shutdown: {delay: 3s}
takeOverFrom: []
`
	want := Default()
	want.ClientConnection.QPS = 50
	want.LeaderElection.LeaderElect, want.LeaderElection.Namespace = false, "file"
	want.Metrics.Secure = false
	want.Shutdown.Delay.Duration = 3 * time.Second
	want.TakeOverFrom = []string{}
	want.Webhook.Certificate.Files = &v1alpha1.CertificateFiles{Directory: defaultCertificateDirectory}
	if diff := cmp.Diff(want, mustLoad(t, file)); diff != "" {
		t.Errorf("file over defaults (-want +got):\n%s", diff)
	}

	want.ClientConnection.QPS, want.ClientConnection.Burst = 70, 80
	want.LeaderElection.LeaderElect, want.LeaderElection.Namespace = true, "flag"
	want.Metrics.Secure = true
	want.Shutdown.Delay.Duration = 0
	got := mustLoad(t, file, "--kube-api-qps=70", "--kube-api-burst=80", "--leader-elect", "--metrics-secure",
		"--leader-election-namespace=flag", "--shutdown-delay=0s")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags over file (-want +got):\n%s", diff)
	}
}

func TestFile(t *testing.T) {
	content := map[string]string{"/other.yaml": head + "health: {bindAddress: ':1'}"}
	read := func(path string) ([]byte, error) {
		if text, ok := content[path]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	settings, err := Load(nil, false, read, io.Discard)
	if err != nil || settings.Source != "" || settings.Health.BindAddress != ":8081" {
		t.Errorf("no file at the default path: %v, %+v", err, settings)
	}
	settings, err = Load([]string{"--config=/other.yaml"}, false, read, io.Discard)
	if err != nil || settings.Source != "/other.yaml" || settings.Health.BindAddress != ":1" {
		t.Errorf("a file at another path: %v, %+v", err, settings)
	}
	_, err = Load([]string{"--config=/missing.yaml"}, false, read, io.Discard)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file at another path: %v", err)
	}
	forbidden := func(string) ([]byte, error) { return nil, fs.ErrPermission }
	if _, err = Load(nil, false, forbidden, io.Discard); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file that can't be read: %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	settings, err := load("wrong", "--version")
	if err != nil || !settings.Version {
		t.Errorf("--version: %v, %+v", err, settings)
	}
	for name, args := range map[string][]string{
		"an unknown flag":          {"--unknown"},
		"an argument":              {"argument"},
		"a value of another type":  {"--webhook-port=x"},
		"a Secret of no namespace": {"--webhook-authority-secret=/authority"},
		"a Secret of no name":      {"--webhook-authority-secret=system"},
		"a Secret with a path":     {"--webhook-authority-secret=a/b/c"},
	} {
		if _, err := load(head, args...); err == nil {
			t.Errorf("no error for %s", name)
		}
	}
	for _, args := range [][]string{
		{"--zap-log-level=debug"}, {"--kubeconfig=/file"}, {"-zap-devel", "-webhook-port", "1"},
	} {
		if _, err := load(head, args...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestHelp checks that the help has the flags for use by hand, in sections, and no others.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	_, err := Load([]string{"--help"}, false, func(string) ([]byte, error) { return nil, fs.ErrNotExist }, &help)
	if !errors.Is(err, pflag.ErrHelp) {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(help.String()) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "flags:") || strings.HasPrefix(line, "--") {
			got = append(got, strings.Fields(line)[0])
		}
		if len(line) > helpColumns {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	want := []string{
		"General", "--config", "--feature-gates", "--version",
		"Cluster", "--kubeconfig", "--leader-elect",
		"Logging", "--zap-devel", "--zap-encoder", "--zap-log-level", "--zap-stacktrace-level", "--zap-time-encoding",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCertificate checks which source of the webhooks' certificate file and flags choose.
func TestCertificate(t *testing.T) {
	const (
		files     = "webhook: {certificate: {files: {directory: /file}}}"
		authority = "webhook: {certificate: {authority: {secret: {namespace: a, name: b}, " +
			"mutatingWebhookConfiguration: c, validatingWebhookConfiguration: d}}}"
	)
	directory := func(path string) v1alpha1.Certificate {
		return v1alpha1.Certificate{Files: &v1alpha1.CertificateFiles{Directory: path}}
	}
	made := func(mutating string) v1alpha1.Certificate {
		return v1alpha1.Certificate{Authority: &v1alpha1.CertificateAuthority{
			Secret:                       v1alpha1.SecretReference{Namespace: "a", Name: "b"},
			MutatingWebhookConfiguration: mutating, ValidatingWebhookConfiguration: "d",
		}}
	}
	flags := []string{
		"--webhook-authority-secret=a/b", "--mutating-webhook-configuration=flag", "--validating-webhook-configuration=d",
	}
	for _, test := range []struct {
		name, file string
		args       []string
		want       v1alpha1.Certificate
	}{
		{name: "nothing", want: directory(defaultCertificateDirectory)},
		{name: "files in the file", file: files, want: directory("/file")},
		{name: "files without a directory", file: "webhook: {certificate: {files: {}}}",
			want: directory(defaultCertificateDirectory)},
		{name: "authority in the file", file: authority, want: made("c")},
		{name: "files by flag", args: []string{"--webhook-cert-dir=/flag"}, want: directory("/flag")},
		{name: "files by flag over authority", file: authority, args: []string{"--webhook-cert-dir=/flag"},
			want: directory("/flag")},
		{name: "authority by flags", args: flags, want: made("flag")},
		{name: "authority by flags over files", file: files, args: flags, want: made("flag")},
		{name: "one flag over the file", file: authority, args: flags[1:2], want: made("flag")},
		{name: "both by flags", args: append([]string{"--webhook-cert-dir=/flag"}, flags...), want: made("flag")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mustLoad(t, head+test.file, test.args...).Webhook.Certificate
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMistakes checks that the operator lists all mistakes of a file, and of flags, by their paths.
func TestMistakes(t *testing.T) {
	const authority = "webhook.certificate.authority."
	for _, test := range []struct {
		name, file string
		args       []string
		want       []string
	}{
		{name: "another kind", file: "apiVersion: v1\nkind: ConfigMap", want: []string{
			`apiVersion: Unsupported value: "v1": supported values: "config.leaderworkerset.x-k8s.io/v1alpha1"`,
			`kind: Unsupported value: "ConfigMap": supported values: "OperatorConfiguration"`,
		}},
		{name: "no kind", file: "namespaces: []", want: []string{
			"apiVersion: Required value: must be config.leaderworkerset.x-k8s.io/v1alpha1",
			"kind: Required value: must be OperatorConfiguration",
		}},
		{name: "unknown fields", file: head + "a: {b: 1, c: 2}\nd:\nmetrics: {e: [1], BindAddress: ':1'}", want: []string{
			"a: Forbidden: unknown field",
			"d: Forbidden: unknown field",
			"metrics.BindAddress: Forbidden: unknown field",
			"metrics.e: Forbidden: unknown field",
		}},
		{name: "duplicate fields", file: head + "metrics: {secure: true, secure: true}\nhealth: {}\nhealth: {}\nhealth: {}",
			want: []string{"health: Duplicate value", "health: Duplicate value", "metrics.secure: Duplicate value"}},
		{name: "other types", file: head + `
namespaces: a
controllers: {group: {concurrency: 3000000000}, leaderWorkerSet: 1, restarts: {baseDelay: soon, maxDelay: 5}}
clientConnection: {qps: fast}
metrics: {secure: "yes", bindAddress: 8443}
webhook: {host: [1]}
featureGates: {AllAlpha: maybe}
`, want: []string{
			`clientConnection.qps: Invalid value: "fast": must be a number`,
			`controllers.group.concurrency: Invalid value: 3000000000: must be an integer of 32 bits`,
			`controllers.leaderWorkerSet: Invalid value: 1: must be a mapping`,
			`controllers.restarts.baseDelay: Invalid value: "soon": must be a duration, such as 1m30s`,
			`controllers.restarts.maxDelay: Invalid value: 5: must be a string; a duration has a unit, such as 10s`,
			`featureGates.AllAlpha: Invalid value: "maybe": must be true or false`,
			`metrics.bindAddress: Invalid value: 8443: must be a string, such as ":8443"`,
			`metrics.secure: Invalid value: "yes": must be true or false`,
			`namespaces: Invalid value: "a": must be a list`,
			`webhook.host: Invalid value: [1]: must be a string`,
		}},
		{name: "an alias", file: head + "namespaces: &a [b]\ntakeOverFrom: *a",
			want: []string{"takeOverFrom: Forbidden: the file must not have YAML aliases"}},
		{name: "namespaces", file: head + `namespaces: [a, B, "", a]`, want: []string{
			`namespaces[1]: Invalid value: "B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters ` +
				`or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for ` +
				`validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`namespaces[2]: Required value`,
			`namespaces[3]: Duplicate value: "a"`,
		}},
		{name: "controllers", file: head + `controllers: {group: {concurrency: 0}, leaderWorkerSet: {concurrency: 1001},
  restarts: {baseDelay: -1s, maxDelay: -2s, healthyAfter: 0s}}`, want: []string{
			"controllers.group.concurrency: Invalid value: 0: must be from 1 to 1000",
			"controllers.leaderWorkerSet.concurrency: Invalid value: 1001: must be from 1 to 1000",
			`controllers.restarts.baseDelay: Invalid value: "-1s": must not be negative`,
			`controllers.restarts.healthyAfter: Invalid value: "0s": must be more than 0s`,
			`controllers.restarts.maxDelay: Invalid value: "-2s": must not be shorter than baseDelay, -1s`,
		}},
		{name: "leader election", file: head + `leaderElection: {leaseDuration: 1500ms, renewDeadline: 2s, retryPeriod: 2s}`,
			want: []string{
				`leaderElection.leaseDuration: Invalid value: "1.5s": must be longer than renewDeadline, 2s`,
				`leaderElection.leaseDuration: Invalid value: "1.5s": must be whole seconds`,
				`leaderElection.renewDeadline: Invalid value: "2s": must be longer than 1.2 times retryPeriod, 2s`,
			}},
		{name: "no time to retry", file: head + `leaderElection: {namespace: A_, retryPeriod: 0s}`, want: []string{
			`leaderElection.namespace: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case ` +
				`alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or ` +
				`'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`leaderElection.retryPeriod: Invalid value: "0s": must be more than 0s`,
		}},
		{name: "two certificates", file: head + "webhook: {port: 0, certificate: {files: {}, authority: {}}}", want: []string{
			"webhook.certificate: Forbidden: files and authority exclude each other",
			authority + "mutatingWebhookConfiguration: Required value",
			authority + "secret.name: Required value",
			authority + "secret.namespace: Required value",
			authority + "validatingWebhookConfiguration: Required value",
			"webhook.port: Invalid value: 0: must be from 1 to 65535",
		}},
		{name: "addresses", file: head + "metrics: {bindAddress: '8443'}\nhealth: {bindAddress: ''}\n" +
			"profiling: {bindAddress: ':70000'}", want: []string{
			`health.bindAddress: Invalid value: "": must be host:port or :port, or "0" for no server`,
			`metrics.bindAddress: Invalid value: "8443": must be host:port or :port, or "0" for no server`,
			`profiling.bindAddress: Invalid value: ":70000": must be host:port or :port, or "0" for no server`,
		}},
		{name: "TLS", file: head + "tls: {minVersion: VersionTLS11, cipherSuites: [TLS_RSA_WITH_AES_128_CBC_SHA]}",
			want: []string{
				`tls.cipherSuites[0]: Unsupported value: "TLS_RSA_WITH_AES_128_CBC_SHA": supported values: ` +
					`"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ` +
					`"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ` +
					`"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"`,
				`tls.minVersion: Unsupported value: "VersionTLS11": supported values: "VersionTLS12", "VersionTLS13"`,
			}},
		{name: "TLS 1.3",
			file: head + "tls: {minVersion: VersionTLS13, cipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}",
			want: []string{"tls.cipherSuites: Forbidden: the suites of TLS 1.3 can't be chosen"}},
		{name: "what doesn't exist yet", file: head + "scheduling: {provider: Volcano}\nfeatureGates: {Gang: true}",
			want: []string{
				`featureGates[Gang]: Invalid value: true: unrecognized feature gate: Gang`,
				`scheduling.provider: Unsupported value: "Volcano": supported values: "None", "Kubernetes"`,
			}},
		{name: "flags", file: head + "metrics: {secur: true}",
			args: []string{"--kube-api-qps=0", "--kube-api-burst=0", "--shutdown-delay=-1s", "--feature-gates=A=true",
				"--webhook-authority-secret=a/b"},
			want: []string{
				"clientConnection.burst: Invalid value: 0: must be 1 or more",
				"clientConnection.qps: Invalid value: 0: must be more than 0",
				"featureGates[A]: Invalid value: true: unrecognized feature gate: A",
				"metrics.secur: Forbidden: unknown field",
				`shutdown.delay: Invalid value: "-1s": must not be negative`,
				authority + "mutatingWebhookConfiguration: Required value",
				authority + "validatingWebhookConfiguration: Required value",
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(test.file, test.args...)
			if err == nil {
				t.Fatal("no error")
			}
			_, got, _ := strings.Cut(err.Error(), "mistakes:\n  ")
			if len(test.want) == 1 {
				_, got, _ = strings.Cut(err.Error(), "a mistake:\n  ")
			}
			if diff := cmp.Diff(test.want, strings.Split(got, "\n  ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoMapping checks files that can't be decoded at all.
func TestNoMapping(t *testing.T) {
	const where = "the configuration /etc/lws-operator/config.yaml: "
	for content, want := range map[string]string{
		"":                    where + "the file is empty",
		"# nothing":           where + "the file is empty",
		"- a":                 where + "the file isn't a YAML mapping",
		head + "---\n" + head: where + "the file has more than one YAML document",
		"a: [":                where + "yaml: line 1: did not find expected node content",
	} {
		if _, err := load(content); err == nil || err.Error() != want {
			t.Errorf("%q: got %v; want %s", content, err, want)
		}
	}
}

// TestNamespacesWithOLM checks that namespaces are a mistake only if OLM installed the operator.
func TestNamespacesWithOLM(t *testing.T) {
	for name, test := range map[string]struct {
		namespaces string
		byOLM      bool
		want       string
	}{
		"some, with OLM": {namespaces: "[team-a]", byOLM: true, want: "" +
			"the configuration " + defaultFile + " has a mistake:\n" +
			`  namespaces: Invalid value: ["team-a"]: must be empty, because OLM installed the operator for all namespaces; ` +
			"remove it from the ConfigMap lws-operator-config"},
		"none, with OLM":    {namespaces: "[]", byOLM: true},
		"some, without OLM": {namespaces: "[team-a]"},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(string) ([]byte, error) { return []byte(head + "namespaces: " + test.namespaces + "\n"), nil }
			got := ""
			if _, err := Load(nil, test.byOLM, read, io.Discard); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
