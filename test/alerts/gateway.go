// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"k8s.io/client-go/util/cert"
)

// lateness is the delay of each piece of a request while the gateway is slow.
const lateness = 1200 * time.Millisecond

// mode is what the gateway does with connections.
type mode int

const (
	passes mode = iota
	// impostor answers with a certificate of another authority.
	impostor
	// slow passes requests on late.
	slow
)

// gateway stands in for the Service of the webhooks. It connects the API server to a replica that runs.
type gateway struct {
	address  string
	foreign  tls.Certificate
	mutex    sync.Mutex
	mode     mode
	backends []string
	open     map[net.Conn]bool
}

func newGateway() (*gateway, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("elsewhere.example", nil, nil)
	if err != nil {
		return nil, err
	}
	foreign, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{address: listener.Addr().String(), foreign: foreign, open: map[net.Conn]bool{}}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go g.serve(connection)
		}
	}()
	return g, nil
}

// set changes the mode. All connections end: the API server keeps them otherwise.
func (g *gateway) set(m mode) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.mode = m
	for connection := range g.open {
		_ = connection.Close()
	}
}

func (g *gateway) serve(from net.Conn) {
	g.mutex.Lock()
	g.open[from] = true
	m := g.mode
	g.mutex.Unlock()
	defer func() {
		_ = from.Close()
		g.mutex.Lock()
		delete(g.open, from)
		g.mutex.Unlock()
	}()
	if m == impostor {
		config := &tls.Config{Certificates: []tls.Certificate{g.foreign}, MinVersion: tls.VersionTLS12}
		_ = tls.Server(from, config).Handshake()
		return
	}
	to, err := g.dial()
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
	defer func() { _ = to.Close() }()
	if m == slow {
		copyLate(to, from)
		return
	}
	_, _ = io.Copy(to, from)
}

// copyLate copies what it reads, each piece after a delay.
func copyLate(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			<-time.After(lateness)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// dial connects to the first replica that accepts connections.
func (g *gateway) dial() (net.Conn, error) {
	for _, backend := range g.backends {
		if connection, err := net.DialTimeout("tcp", backend, time.Second); err == nil {
			return connection, nil
		}
	}
	return nil, errors.New("no replica runs")
}
