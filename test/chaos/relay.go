// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay stands in for the Service of the webhooks: it connects the API server to any replica that runs.
type relay struct {
	address string
	// hangs makes the relay accept connections and answer none.
	hangs    atomic.Bool
	backends []string
	mutex    sync.Mutex
	open     map[net.Conn]bool
}

func newRelay(backends []string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{address: listener.Addr().String(), backends: backends, open: map[net.Conn]bool{}}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(connection)
		}
	}()
	return r, nil
}

// hang turns the timeouts on or off. All connections end: the API server keeps them otherwise.
func (r *relay) hang(hangs bool) {
	r.hangs.Store(hangs)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for connection := range r.open {
		_ = connection.Close()
	}
}

func (r *relay) serve(from net.Conn) {
	r.mutex.Lock()
	r.open[from] = true
	r.mutex.Unlock()
	defer func() {
		_ = from.Close()
		r.mutex.Lock()
		delete(r.open, from)
		r.mutex.Unlock()
	}()
	if r.hangs.Load() {
		_, _ = io.Copy(io.Discard, from)
		return
	}
	to, err := r.dial()
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
	_, _ = io.Copy(from, to)
}

// dial connects to a replica that accepts connections.
func (r *relay) dial() (net.Conn, error) {
	backends := r.backends
	for _, i := range rand.Perm(len(backends)) { //nolint:gosec // No secret.
		backend := backends[i]
		if connection, err := net.DialTimeout("tcp", backend, time.Second); err == nil {
			return connection, nil
		}
	}
	return nil, errors.New("no replica runs")
}
