// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// OpenLog opens the log of a container. The caller closes it.
func (c *Cluster) OpenLog(
	ctx context.Context, namespace, pod string, options *corev1.PodLogOptions,
) (io.ReadCloser, error) {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, err
	}
	return clients.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
}

// maxLog bounds a log that is read as a whole, in bytes.
const maxLog = 4 << 20

// Log reads the log of a container.
func (c *Cluster) Log(
	ctx context.Context, namespace, pod string, options *corev1.PodLogOptions,
) (text string, err error) {
	stream, err := c.OpenLog(ctx, namespace, pod, options)
	if err != nil {
		return "", err
	}
	read, err := io.ReadAll(io.LimitReader(stream, maxLog))
	if closeErr := stream.Close(); err == nil {
		err = closeErr
	}
	return string(read), err
}

// Exec runs a command in a container. Newer API servers stream by WebSockets, older ones by SPDY.
func (c *Cluster) Exec(
	ctx context.Context, pod *corev1.Pod, options *corev1.PodExecOptions, streams remotecommand.StreamOptions,
) error {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	url := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).
		SubResource("exec").VersionedParams(options, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, http.MethodPost, url)
	if err != nil {
		return err
	}
	websocket, err := remotecommand.NewWebSocketExecutor(c.Config, http.MethodGet, url.String())
	if err != nil {
		return err
	}
	executor, err := remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	if err := executor.StreamWithContext(ctx, streams); err != nil {
		return fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	return nil
}
