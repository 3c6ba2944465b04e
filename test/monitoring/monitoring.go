// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package monitoring lets tests evaluate the rules of config/prometheus with a real Prometheus. It writes the files
// that Prometheus reads, and asks a Prometheus that runs.
package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"
)

// object is a part of Prometheus' configuration, with the names of its fields.
type object = map[string]any

// Settings say what Prometheus reads and evaluates.
type Settings struct {
	// Dir gets all files.
	Dir string
	// Rules are the rule file, see [Rules].
	Rules []byte
	// Interval is the time between two scrapes of the operator, and between two evaluations of the rules. Prometheus
	// reads the API server half as often.
	Interval time.Duration
	// Operator has the metrics of the operator's replicas.
	Operator Endpoint
	// APIServer has the API server's own metrics. Only those of its calls of webhooks are kept.
	APIServer Endpoint
}

// Endpoint is a server of metrics.
type Endpoint struct {
	// Job is the label job of the metrics.
	Job string
	// Path is that of the metrics; /metrics if it is empty.
	Path        string
	HonorLabels bool
	// ServerName is what the certificate is verified for, if it isn't the name of the host. It isn't verified without
	// Authority.
	ServerName string
	Authority  []byte
	// Token, or else Certificate and Key, authenticate Prometheus.
	Token, Certificate, Key []byte
	// Targets are the addresses. Nil: they are in the file TargetsFile, see [WriteTargets].
	Targets []string
}

// TargetsFile is the name of the file that [WriteTargets] writes.
const TargetsFile = "targets.json"

// Write writes the files of Prometheus, and returns the flags that name them.
func Write(settings Settings) (flags []string, err error) {
	dir := settings.Dir
	operator, err := settings.Operator.scrape(dir, "operator", settings.Interval)
	if err != nil {
		return nil, err
	}
	server, err := settings.APIServer.scrape(dir, "apiserver", 2*settings.Interval)
	if err != nil {
		return nil, err
	}
	server["metric_relabel_configs"] = []object{
		{"source_labels": []string{"__name__"}, "regex": "apiserver_admission_webhook_.*", "action": "keep"},
	}
	rules, config := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "prometheus.yaml")
	text, err := yaml.Marshal(object{
		"global":         object{"evaluation_interval": settings.Interval.String()},
		"rule_files":     []string{rules},
		"scrape_configs": []object{operator, server},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(rules, settings.Rules, 0o600); err != nil {
		return nil, err
	}
	flags = []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data")}
	return flags, os.WriteFile(config, text, 0o600)
}

// scrape returns the configuration by which Prometheus reads an endpoint. Its credentials are in files of a name.
func (e Endpoint) scrape(dir, name string, interval time.Duration) (object, error) {
	security, config := object{"insecure_skip_verify": true}, object{
		"job_name": e.Job, "scheme": "https", "honor_labels": e.HonorLabels,
		"scrape_interval": interval.String(), "scrape_timeout": interval.String(),
	}
	if e.Path != "" {
		config["metrics_path"] = e.Path
	}
	files := map[string][]byte{}
	file := func(suffix string, content []byte) string {
		path := filepath.Join(dir, name+suffix)
		files[path] = content
		return path
	}
	if len(e.Authority) > 0 {
		security = object{"ca_file": file("-authority.crt", e.Authority)}
	}
	if e.ServerName != "" {
		security["server_name"] = e.ServerName
	}
	if len(e.Token) > 0 {
		config["authorization"] = object{"type": "Bearer", "credentials_file": file("-token", e.Token)}
	} else {
		security["cert_file"], security["key_file"] = file("-client.crt", e.Certificate), file("-client.key", e.Key)
	}
	config["tls_config"] = security
	if e.Targets != nil {
		config["static_configs"] = []object{{"targets": e.Targets}}
	} else {
		config["file_sd_configs"] = []object{{"files": []string{filepath.Join(dir, TargetsFile)}, "refresh_interval": "1s"}}
	}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// WriteTargets replaces the addresses of an endpoint without Targets. Prometheus never reads half of the file.
func WriteTargets(dir string, addresses []string) error {
	text, err := json.Marshal([]object{{"targets": addresses}})
	if err != nil {
		return err
	}
	written := filepath.Join(dir, "next-"+TargetsFile)
	if err := os.WriteFile(written, text, 0o600); err != nil {
		return err
	}
	return os.Rename(written, filepath.Join(dir, TargetsFile))
}

// Rules returns the rules of config/prometheus below root as a rule file. JSON is YAML.
func Rules(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "rules.yaml"))
	if err != nil {
		return nil, err
	}
	var rules struct {
		Spec object `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, err
	}
	return json.Marshal(rules.Spec)
}

// Prometheus is a running Prometheus.
type Prometheus struct {
	// URL is its address, without a path.
	URL string
}

// Alert is an alert that Prometheus evaluates.
type Alert struct {
	Labels map[string]string
	// State is "pending" or "firing".
	State string
}

// Series is a series of a query's result. A value is a time and a number as text.
type Series struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values,omitempty"`
}

// Ready returns an error unless Prometheus answers queries.
func (p Prometheus) Ready(ctx context.Context) error { return p.get(ctx, "/-/ready", nil, nil) }

// Alerts returns the alerts that are pending or firing.
func (p Prometheus) Alerts(ctx context.Context) ([]Alert, error) {
	var data struct{ Alerts []Alert }
	err := p.get(ctx, "/api/v1/alerts", nil, &data)
	return data.Alerts, err
}

// Query evaluates a query now, and returns the series without their values.
func (p Prometheus) Query(ctx context.Context, query string) ([]Series, error) {
	var data struct{ Result []Series }
	err := p.get(ctx, "/api/v1/query", url.Values{"query": {query}}, &data)
	return data.Result, err
}

// QueryRange evaluates a query from one time to another.
func (p Prometheus) QueryRange(
	ctx context.Context, query string, from, to time.Time, step time.Duration,
) ([]Series, error) {
	var data struct{ Result []Series }
	err := p.get(ctx, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {step.String()},
	}, &data)
	return data.Result, err
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// get makes a request, and decodes the field data of the answer unless into is nil.
func (p Prometheus) get(ctx context.Context, path string, values url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data  json.RawMessage
		Error string
	}
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return err
		}
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s", path, response.Status, answer.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, into)
}
