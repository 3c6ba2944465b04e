// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command peer is the program in the pods of the tests. A leader is ready at once. A worker is ready when its leader
// has answered, at the name in LWS_LEADER_ADDRESS. After SIGTERM, a peer writes its termination message and ends after
// the duration PEER_DRAIN, which is 0 by default.
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
	// terminationLog is the file with the container's termination message.
	terminationLog = "/dev/termination-log"
	// retryInterval is the time between two attempts to reach the leader.
	retryInterval = 500 * time.Millisecond
)

// group has the workers that have reached a leader.
type group struct {
	mutex   sync.Mutex
	workers map[string]bool
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// run serves until SIGTERM.
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
		<-time.After(drain) // A real server would finish its requests.
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

// handler answers the requests of workers, probes and tests.
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

// names returns the sorted names of the workers.
func (g *group) names() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return slices.Sorted(maps.Keys(g.workers))
}
