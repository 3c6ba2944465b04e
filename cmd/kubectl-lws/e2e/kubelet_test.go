// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilexec "k8s.io/client-go/util/exec"
	streaming "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// kubelet answers for the logs and commands of the pods on one node.
type kubelet struct{}

// serve makes a node that answers, for the pods that select it, and returns its name.
func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(kubelet{})
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{}
	if err := suite.client.Get(t.Context(), client.ObjectKey{Name: "node-0"}, node); err != nil {
		t.Fatal(err)
	}
	before := node.DeepCopy()
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	if err := suite.client.Status().Patch(t.Context(), node, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	return node.Name
}

// ServeHTTP answers GET /containerLogs/<namespace>/<pod>/<container> and /exec/<namespace>/<pod>/<container>.
func (k kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if path[0] == "containerLogs" {
		w.Header().Set("Content-Type", "text/plain")
		query := r.URL.Query()
		text := fmt.Sprintf("%s says hello\n%s tail=%q previous=%q\n",
			path[2], path[3], query.Get("tailLines"), query.Get("previous"))
		_, _ = io.WriteString(w, text) //nolint:gosec // The API server of the test reads it.
		return
	}
	options := &streaming.Options{Stdin: r.URL.Query().Has("input"), Stdout: true, Stderr: true}
	streaming.ServeExec(w, r, k, path[2], "", path[3], r.URL.Query()["command"], options, time.Minute, time.Minute,
		[]string{"v4.channel.k8s.io"})
}

// ExecInContainer echoes its command and its input, and ends with the code that the last argument is.
func (kubelet) ExecInContainer(
	_ context.Context, pod, _, container string, command []string, in io.Reader, out, _ io.WriteCloser,
	_ bool, _ <-chan streaming.TerminalSize, _ time.Duration,
) error {
	_, _ = fmt.Fprintf(out, "%s/%s runs %q\n", pod, container, command)
	if in != nil {
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	if code, err := strconv.Atoi(command[len(command)-1]); err == nil && code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
	}
	return nil
}

// TestLogsAndExec reads logs and runs commands by a kubelet of the test.
func TestLogsAndExec(t *testing.T) {
	u := admin(t)
	node := serve(t)
	u.newSet(t, "llama", 2, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	})
	u.available(t, "llama")
	logs := u.wants(t, []string{"logs", "llama"}, "[pod/llama-0/server] llama-0 says hello\n")
	if lines := strings.Count(logs, "\n"); lines != 12 {
		t.Errorf("%d lines, want 2 of each of 6 pods:\n%s", lines, logs)
	}
	logs = u.wants(t, []string{"logs", "llama", "-g", "1", "--worker=2", "-p", "--tail=7", "--prefix=false"},
		"llama-1-2 says hello\n", `server tail="7" previous="true"`)
	if strings.Contains(logs, "llama-1-1") || strings.Contains(logs, "[pod/") {
		t.Errorf("too much:\n%s", logs)
	}
	logs = u.wants(t, []string{"logs", "llama", "--leader", "-f"}, "[pod/llama-0/server]", "[pod/llama-1/server]")
	if strings.Contains(logs, "-0-1/") {
		t.Errorf("workers are no leaders:\n%s", logs)
	}
	u.wantsError(t, []string{"logs", "llama", "-f", "--max-log-requests=2"}, "maximum allowed concurrency is 2")
	u.wantsError(t, []string{"logs", "llama", "-g", "9"}, "error: no pod of the set matches")

	u.wants(t, []string{"exec", "llama", "-g", "1", "-w", "2", "--", "nvidia-smi", "-L"},
		`llama-1-2/server runs ["nvidia-smi" "-L"]`)
	if got := u.run(t, "exec", "llama", "--", "exit", "7"); got.code != 7 {
		t.Errorf("exit code %d, want 7: %+v", got.code, got)
	}
	u.wantsError(t, []string{"exec", "llama", "-g", "1", "-w", "5", "--", "ls"}, "error: group 1 has no worker 5")
	u.wantsError(t, []string{"exec", "llama", "ls"}, "expected NAME -- COMMAND")

	viewer := u.withRole(t, "view")
	viewer.eventually(t, []string{"logs", "llama", "-g", "0"}, "llama-0-1 says hello")
	viewer.wantsError(t, []string{"exec", "llama", "--", "ls"}, "forbidden")
}
