// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command scrape measures what it costs a running operator to serve its metrics: it reads them as Prometheus does, by
// HTTPS and with a token that the API server checks. The control plane is real and the nodes are simulated.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// namespace has the sets.
const namespace = "scraped"

// options are the flags.
type options struct {
	sets, groups, size, scrapes int
	interval, timeout           time.Duration
}

func main() {
	log.SetLogger(logr.Discard()) // The client's log doesn't belong in the report.
	var o options
	flag.IntVar(&o.sets, "sets", 100, "how many sets there are")
	flag.IntVar(&o.groups, "groups", 10, "how many groups a set has")
	flag.IntVar(&o.size, "size", 2, "how many pods a group has")
	flag.IntVar(&o.scrapes, "scrapes", 60, "how often the metrics are read")
	flag.DurationVar(&o.interval, "interval", time.Second, "the time between two reads")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "how long the groups may take to be ready")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "scrape: %v\n", err)
		os.Exit(1)
	}
}

// run makes the sets, and measures with histograms for each set and without.
func run(ctx context.Context, o options) (err error) {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	binary, err := operator.Build(ctx, root)
	if err != nil {
		return err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lws-operator-scrape-")
	if err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin, Nodes: 20, CRDs: []string{filepath.Join(root, "config", "crd", "bases")},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)), os.RemoveAll(dir)) }()
	controller := operator.Monitored(root, binary)
	served, err := operator.Add(c, "operator", controller)
	if err != nil {
		return err
	}
	if err := operator.InstallMonitored(ctx, c, root, controller, served.Webhooks()); err != nil {
		return err
	}
	if err := served.Start(ctx); err != nil {
		return err
	}
	if err := makeSets(ctx, c, o); err != nil {
		return err
	}
	fmt.Println("| `perSetHistograms` | series | size | compressed | median | slowest | CPU of a read | " +
		"resident before | resident after |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	if err := measureReads(ctx, c, root, served, o, "true"); err != nil {
		return err
	}
	text, err := os.ReadFile(served.ConfigFile())
	if err != nil {
		return err
	}
	without := strings.Replace(string(text), "metrics:\n", "metrics:\n  perSetHistograms: false\n", 1)
	if err := errors.Join(os.WriteFile(served.ConfigFile(), []byte(without), 0o600), served.Stop(ctx)); err != nil {
		return err
	}
	if err := served.Start(ctx); err != nil {
		return err
	}
	return measureReads(ctx, c, root, served, o, "false")
}

// makeSets creates the sets, and waits until all groups are ready.
func makeSets(ctx context.Context, c *cluster.Cluster, o options) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	api, err := client.New(c.RESTConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	for i := range o.sets {
		lws := &leaderworkersetv1.LeaderWorkerSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("set-%d", i)},
			Spec: leaderworkersetv1.LeaderWorkerSetSpec{
				Replicas: ptr.To(int32(o.groups)), //nolint:gosec // A flag.
				LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
					Size: ptr.To(int32(o.size)), //nolint:gosec // A flag.
					WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
						Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.9"}},
					}},
				},
			},
		}
		if err := api.Create(ctx, lws); err != nil {
			return err
		}
	}
	return objects.Until(ctx, o.timeout, func(ctx context.Context) error {
		var list leaderworkersetv1.LeaderWorkerSetList
		if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			ready += int(list.Items[i].Status.ReadyReplicas)
		}
		if want := o.sets * o.groups; ready != want {
			return fmt.Errorf("%d of %d groups are ready", ready, want)
		}
		return nil
	})
}

// measureReads measures an operator at rest without reads, and then with reads, and prints a row.
func measureReads(
	ctx context.Context, c *cluster.Cluster, root string, served *operator.Operator, o options, histograms string,
) error {
	var reader *reader
	err := objects.Until(ctx, time.Minute, func(ctx context.Context) error {
		access, err := operator.MetricsAccess(ctx, c, root)
		if err != nil {
			return err
		}
		reader = newReader(access, served.MetricsAddress())
		text, err := reader.read(ctx)
		if err == nil && strings.Count(text, "\nleaderworkerset_spec_replicas{") != o.sets {
			err = errors.New("not all sets have metrics")
		}
		return err
	})
	if err != nil {
		return err
	}
	<-time.After(10 * time.Second) // Until the operator is at rest.
	began, err := measure.UsageOf(served.PID())
	if err != nil {
		return err
	}
	length := time.Duration(o.scrapes) * o.interval
	<-time.After(length)
	idle, err := measure.UsageOf(served.PID())
	if err != nil {
		return err
	}
	var text string
	var times []time.Duration
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	for range o.scrapes {
		<-ticker.C
		before := time.Now()
		if text, err = reader.read(ctx); err != nil {
			return err
		}
		times = append(times, time.Since(before))
	}
	busy, err := measure.UsageOf(served.PID())
	if err != nil {
		return err
	}
	slices.Sort(times)
	cpu := ((busy.CPU - idle.CPU) - (idle.CPU - began.CPU)) / time.Duration(o.scrapes)
	const mebibyte = 1 << 20
	fmt.Printf("| `%s` | %d | %d kB | %d kB | %d ms | %d ms | %d ms | %d MiB | %d MiB |\n", histograms,
		strings.Count(text, "\n")-strings.Count(text, "\n#"), len(text)/1000, reader.received/1000,
		times[len(times)/2].Milliseconds(), times[len(times)-1].Milliseconds(), cpu.Milliseconds(),
		idle.Resident/mebibyte, busy.Resident/mebibyte)
	return nil
}

// reader reads the metrics of a replica, on one connection as Prometheus does.
type reader struct {
	client   http.Client
	url      string
	token    string
	received int
}

func newReader(access operator.Access, address string) *reader {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(access.Authority)
	return &reader{
		client: http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: access.ServerName, MinVersion: tls.VersionTLS12},
			// The reader counts the compressed bytes itself.
			DisableCompression: true,
		}},
		url: "https://" + address + access.Path, token: string(access.Token),
	}
}

// read returns the metrics as text.
func (r *reader) read(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := r.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	compressed, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	r.received = len(compressed)
	return unzip(compressed)
}

func unzip(compressed []byte) (string, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(unzipped)
	return string(text), err
}
