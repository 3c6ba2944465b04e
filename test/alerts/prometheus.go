// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/monitoring"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// prometheus is a running Prometheus.
type prometheus struct {
	monitoring.Prometheus
}

// startPrometheus starts the binary with the shortened rules. It reads the replicas of the operator as the
// ServiceMonitor says, and the API server.
func startPrometheus(ctx context.Context, c *cluster.Cluster, binary string, access operator.Access, replicas []string,
	rules []byte,
) (*prometheus, error) {
	settings, err := settingsFor(c, access, replicas, rules)
	if err != nil {
		return nil, err
	}
	flags, err := monitoring.Write(settings)
	if err != nil {
		return nil, err
	}
	ports, err := cluster.FreePorts("prometheus")
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", ports["prometheus"])
	flags = append(flags, "--web.listen-address="+address, "--query.lookback-delta=5s")
	program, err := c.RunProgram("prometheus", binary, flags...)
	if err != nil {
		return nil, err
	}
	p := &prometheus{monitoring.Prometheus{URL: "http://" + address}}
	err = objects.Until(ctx, time.Minute, func(ctx context.Context) error {
		if !program.Alive() {
			return errors.New("Prometheus has ended: " + program.LogTail())
		}
		return p.Ready(ctx)
	})
	return p, err
}

// settingsFor is what Prometheus reads.
func settingsFor(
	c *cluster.Cluster, access operator.Access, replicas []string, rules []byte,
) (monitoring.Settings, error) {
	server := c.RESTConfig()
	apiServer, err := url.Parse(server.Host)
	if err != nil {
		return monitoring.Settings{}, err
	}
	authority, err := os.ReadFile(c.CAFile())
	if err != nil {
		return monitoring.Settings{}, err
	}
	dir, err := c.ProgramDir("prometheus")
	return monitoring.Settings{
		Dir: dir, Rules: rules, Interval: time.Second,
		Operator: monitoring.Endpoint{
			Job: access.Job, Path: access.Path, HonorLabels: access.HonorLabels, Targets: replicas,
			ServerName: access.ServerName, Authority: access.Authority, Token: access.Token,
		},
		APIServer: monitoring.Endpoint{
			Job: "apiserver", Targets: []string{apiServer.Host}, Authority: authority,
			Certificate: server.CertData, Key: server.KeyData,
		},
	}, err
}

// firing returns the alerts that fire, by name and set.
func (p *prometheus) firing(ctx context.Context) (map[subject]bool, error) {
	alerts, err := p.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	all := map[subject]bool{}
	for _, a := range alerts {
		if a.State == "firing" {
			all[subject{a.Labels["alertname"], a.Labels["leaderworkerset"]}] = true
		}
	}
	return all, nil
}
