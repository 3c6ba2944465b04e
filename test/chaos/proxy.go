// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// trouble is what the proxy does to requests. Shares are from 0 to 1.
type trouble struct {
	// Throttled requests are answered with 429. The answers of Lost requests never arrive, although the API server has
	// carried the requests out.
	Throttled, Lost float64
	// Delay is the longest time by which an answer is late.
	Delay time.Duration
	// Blind ends all watches, and refuses new ones.
	Blind bool
	// Cut refuses all requests.
	Cut bool
}

// proxy is between one replica of the operator and the API server. The replica is nobody to the proxy; the proxy
// impersonates the operator's service account.
type proxy struct {
	user   string
	groups []string
	target *url.URL
	server *http.Server
	reach  http.Handler

	trouble atomic.Pointer[trouble]
	mutex   sync.Mutex
	watches map[*context.CancelFunc]bool
}

// newProxy starts a proxy on a free port of the loopback address, and returns it with its address.
func newProxy(config *rest.Config, user string, groups ...string) (*proxy, string, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, "", err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	p := &proxy{user: user, groups: groups, target: target, watches: map[*context.CancelFunc]bool{}}
	p.reach = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: transport, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	p.set(trouble{})
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }()
	return p, "http://" + listener.Addr().String(), nil
}

// set replaces the trouble. It ends the watches if the replica is blind or cut off from now on.
func (p *proxy) set(t trouble) {
	p.trouble.Store(&t)
	if !t.Blind && !t.Cut {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for cancel := range p.watches {
		(*cancel)()
	}
}

func (p *proxy) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.target)
	r.Out.Header.Set("Impersonate-User", p.user)
	r.Out.Header["Impersonate-Group"] = p.groups
}

// serve passes a request on, with trouble.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	t := *p.trouble.Load()
	watches := strings.Contains(r.URL.RawQuery, "watch=true")
	switch {
	case t.Cut || (t.Blind && watches):
		panic(http.ErrAbortHandler)
	case rand.Float64() < t.Throttled: //nolint:gosec // No secret.
		w.Header().Set("Retry-After", "1")
		http.Error(w, "chaos", http.StatusTooManyRequests)
		return
	}
	if t.Delay > 0 && !watches {
		time.Sleep(rand.N(t.Delay)) //nolint:gosec,forbidigo // The answer is late on purpose.
	}
	if watches {
		ctx, cancel := context.WithCancel(r.Context())
		defer p.follow(&cancel)()
		r = r.WithContext(ctx)
	}
	if !watches && rand.Float64() < t.Lost { //nolint:gosec // No secret.
		p.reach.ServeHTTP(&nowhere{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	p.reach.ServeHTTP(w, r)
}

// follow lets set end a watch. The returned function forgets the watch.
func (p *proxy) follow(cancel *context.CancelFunc) func() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.watches[cancel] = true
	return func() {
		(*cancel)()
		p.mutex.Lock()
		defer p.mutex.Unlock()
		delete(p.watches, cancel)
	}
}

// nowhere takes an answer that gets lost.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header            { return n.header }
func (n *nowhere) Write(data []byte) (int, error) { return len(data), nil }
func (n *nowhere) WriteHeader(int)                {}

// writeKubeconfig writes a kubeconfig for a client without credentials.
func writeKubeconfig(path, server string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["chaos"] = &clientcmdapi.Cluster{Server: server}
	config.AuthInfos["chaos"] = &clientcmdapi.AuthInfo{}
	config.Contexts["chaos"] = &clientcmdapi.Context{Cluster: "chaos", AuthInfo: "chaos"}
	config.CurrentContext = "chaos"
	return clientcmd.WriteToFile(*config, path)
}
