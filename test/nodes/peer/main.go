// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command peer is what the pods of the tests run. A leader is ready at once; a worker once its leader has answered it, under the name in
// LWS_LEADER_ADDRESS. Asked to terminate, a peer says so in its termination message and ends when PEER_DRAIN is over, a duration that
// is 0 by default.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	address = ":8080"
	// terminationLog is where Kubernetes reads the last words of a container.
	terminationLog = "/dev/termination-log"
	// retryInterval is the time between two attempts to reach the leader.
	retryInterval = 500 * time.Millisecond
)

// group is what a leader knows of its workers.
type group struct {
	mutex   sync.Mutex
	workers map[string]bool
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// run serves until it is asked to terminate.
func run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	drain, err := time.ParseDuration(cmp.Or(os.Getenv("PEER_DRAIN"), "0"))
	if err != nil {
		return fmt.Errorf("PEER_DRAIN: %w", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	var ready atomic.Bool
	server := &http.Server{Addr: address, Handler: handler(&ready), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	go func() {
		if os.Getenv("LWS_WORKER_INDEX") != "0" {
			reach(ctx, os.Getenv("LWS_LEADER_ADDRESS"), hostname)
		}
		ready.Store(true)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := os.WriteFile(terminationLog, []byte("terminating"), 0o600)
		<-time.After(drain) // whatever a real server would still have to do
		return errors.Join(err, os.WriteFile(terminationLog, []byte("drained"), 0o600))
	}
}

// reach calls the leader until it has answered, or the context is done.
func reach(ctx context.Context, leader, self string) {
	for ctx.Err() == nil {
		err := call(ctx, "http://"+leader+address+"/join?"+url.Values{"name": {self}}.Encode())
		if err == nil {
			log.Printf("reached %s", leader)
			return
		}
		log.Print(err)
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

// call returns an error unless a server answers with OK.
func call(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// handler serves what workers, probes and tests ask for.
func handler(ready *atomic.Bool) http.Handler {
	g := &group{workers: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "the leader hasn't answered yet", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/join", func(_ http.ResponseWriter, r *http.Request) { g.join(r.URL.Query().Get("name")) })
	mux.HandleFunc("/workers", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(g.names()); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { log.Fatal("asked to crash") })
	return mux
}

// join adds a worker.
func (g *group) join(worker string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.workers[worker] = true
}

// names are those of the workers, sorted.
func (g *group) names() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return slices.Sorted(maps.Keys(g.workers))
}
