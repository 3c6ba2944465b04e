// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Ports are chosen at random from this range. It lies below the usual range of outgoing connections, which begins at
// 32768. A port in that range may be taken soon after it was found free.
const firstPort, portCount, portAttempts = 20000, 10000, 100

// claims are the locks on the ports that this process has found. They end with the process.
var claims struct {
	sync.Mutex
	files []*os.File
}

// FreePorts returns a free port for each of the names. The ports differ from each other, and from all ports that
// FreePorts has returned in processes of this user that still run. Without that, of 250 operators that are started two
// at a time, one would now and then find its port taken by the next one: each needs 3 of 10,000 ports, which it listens
// on about a second later. A process that chooses its port otherwise may still take one.
func FreePorts(names ...string) (map[string]string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("lws-operator-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports := make(map[string]string, len(names))
	for _, name := range names {
		port, err := claimPort(dir)
		if err != nil {
			return nil, err
		}
		ports[name] = port
	}
	return ports, nil
}

// claimPort claims a free port by a lock on a file in a directory.
func claimPort(dir string) (string, error) {
	var err error
	for range portAttempts {
		port := strconv.Itoa(firstPort + rand.IntN(portCount)) //nolint:gosec // A port is no secret.
		var file *os.File
		if file, err = acquireLock(filepath.Join(dir, port)); err != nil {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(loopback, port)); err != nil {
			closeQuietly(file)
			continue
		}
		claims.Lock()
		claims.files = append(claims.files, file)
		claims.Unlock()
		return port, listener.Close()
	}
	return "", fmt.Errorf("find a free port from %d to %d: %w", firstPort, firstPort+portCount-1, err)
}
