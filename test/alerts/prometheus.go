// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// prometheus is a running Prometheus.
type prometheus struct {
	url     string
	program *cluster.Program
}

// startPrometheus starts the binary with the shortened rules. It reads the replicas of the operator as the
// ServiceMonitor says, and the API server.
func startPrometheus(ctx context.Context, c *cluster.Cluster, binary string, access operator.Access, replicas []string,
	rules []byte,
) (*prometheus, error) {
	dir, err := c.ProgramDir("prometheus")
	if err != nil {
		return nil, err
	}
	config, err := yaml.Marshal(scrapeConfig(c, dir, access, replicas))
	if err != nil {
		return nil, err
	}
	server := c.RESTConfig()
	for name, content := range map[string][]byte{
		"prometheus.yaml": config, "rules.yaml": rules, "token": access.Token, "authority.crt": access.Authority,
		"client.crt": server.CertData, "client.key": server.KeyData,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	ports, err := cluster.FreePorts("prometheus")
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", ports["prometheus"])
	program, err := c.RunProgram("prometheus", binary, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--query.lookback-delta=5s")
	if err != nil {
		return nil, err
	}
	p := &prometheus{url: "http://" + address, program: program}
	err = objects.Until(ctx, time.Minute, func(ctx context.Context) error {
		if !program.Alive() {
			return errors.New("Prometheus has ended: " + program.LogTail())
		}
		return p.get(ctx, "/-/ready", nil, nil)
	})
	return p, err
}

// scrapeConfig is the configuration of Prometheus.
func scrapeConfig(c *cluster.Cluster, dir string, access operator.Access, replicas []string) map[string]any {
	type object = map[string]any
	apiServer, _ := url.Parse(c.RESTConfig().Host) // The cluster wrote it.
	return object{
		"global":     object{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{filepath.Join(dir, "rules.yaml")},
		"scrape_configs": []object{
			{
				"job_name": access.Job, "scheme": "https", "metrics_path": access.Path, "honor_labels": access.HonorLabels,
				"authorization": object{"type": "Bearer", "credentials_file": filepath.Join(dir, "token")},
				"tls_config": object{
					"ca_file": filepath.Join(dir, "authority.crt"), "server_name": access.ServerName,
				},
				"static_configs": []object{{"targets": replicas}},
			},
			{
				"job_name": "apiserver", "scheme": "https", "scrape_interval": "2s", "scrape_timeout": "2s",
				"tls_config": object{
					"ca_file": c.CAFile(), "cert_file": filepath.Join(dir, "client.crt"),
					"key_file": filepath.Join(dir, "client.key"),
				},
				"static_configs": []object{{"targets": []string{apiServer.Host}}},
				"metric_relabel_configs": []object{
					{"source_labels": []string{"__name__"}, "regex": "apiserver_admission_webhook_.*", "action": "keep"},
				},
			},
		},
	}
}

// alert is an alert that Prometheus evaluates.
type alert struct {
	Labels map[string]string
	State  string
}

// firing returns the alerts that fire, by name and set.
func (p *prometheus) firing(ctx context.Context) (map[subject]bool, error) {
	var data struct{ Alerts []alert }
	if err := p.get(ctx, "/api/v1/alerts", nil, &data); err != nil {
		return nil, err
	}
	all := map[subject]bool{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			all[subject{a.Labels["alertname"], a.Labels["leaderworkerset"]}] = true
		}
	}
	return all, nil
}

// series is a series of a query's result. A value is a time and a number as text.
type series struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

// queryRange evaluates a query from one time to another.
func (p *prometheus) queryRange(
	ctx context.Context, query string, from, to time.Time, step time.Duration,
) ([]series, error) {
	var data struct{ Result []series }
	err := p.get(ctx, "/api/v1/query_range", url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {step.String()},
	}, &data)
	return data.Result, err
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// get makes a request, and decodes the field data of the answer unless into is nil.
func (p *prometheus) get(ctx context.Context, path string, values url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+values.Encode(), nil)
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
