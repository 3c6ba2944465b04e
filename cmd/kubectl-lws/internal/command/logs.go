// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// logFlags are the flags of the verb logs.
type logFlags struct {
	groups             []int32
	leader             bool
	workers            []int32
	container          string
	all                bool
	follow, previous   bool
	timestamps, prefix bool
	tail               int64
	since              time.Duration
	most               int
}

func (p *plugin) logs() *cobra.Command {
	var flags logFlags
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print the logs of the pods of a set, each line with its pod",
		Example: "  kubectl lws logs llama -g 1 -f                # all pods of group 1\n" +
			"  kubectl lws logs llama --leader --tail=20     # all leaders\n" +
			"  kubectl lws logs llama -g 1 --worker=2 -p",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.runLogs(cmd, args[0], flags) },
	}
	flagSet := cmd.Flags()
	flagSet.Int32SliceVarP(&flags.groups, "group", "g", nil, "Indices of groups. All groups if it is not set.")
	flagSet.BoolVar(&flags.leader, "leader", false, "The leaders.")
	flagSet.Int32SliceVar(&flags.workers, "worker", nil, "Worker indices.")
	flagSet.StringVarP(&flags.container, "container", "c", "", "Name of the container. The first one if it is not set.")
	flagSet.BoolVar(&flags.all, "all-containers", false, "All containers of each pod.")
	flagSet.BoolVarP(&flags.follow, "follow", "f", false, "Go on as the pods log.")
	flagSet.BoolVarP(&flags.previous, "previous", "p", false, "The previous instance of each container.")
	flagSet.BoolVar(&flags.timestamps, "timestamps", false, "Begin each line with its time.")
	flagSet.BoolVar(&flags.prefix, "prefix", true, "Begin each line with its pod and container.")
	flagSet.Int64Var(&flags.tail, "tail", -1, "Number of last lines. -1 means all.")
	flagSet.DurationVar(&flags.since, "since", 0, "Only lines that are newer, such as 5s, 2m or 3h.")
	flagSet.IntVar(&flags.most, "max-log-requests", 20, "How many logs to follow at the same time.")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups) // It fails for flags that don't exist only.
	return cmd
}

// source is a container whose log is printed.
type source struct{ pod, container string }

func (p *plugin) runLogs(cmd *cobra.Command, name string, flags logFlags) error {
	server, set, err := p.read(cmd, name)
	if err != nil {
		return err
	}
	sources := logSources(selectPods(set, flags.groups, flags.leader, flags.workers), flags)
	if len(sources) == 0 {
		return errors.New("no pod of the set matches")
	}
	if flags.follow && len(sources) > flags.most {
		return fmt.Errorf("you are attempting to follow %d log streams, but maximum allowed concurrency is %d, "+
			"use --max-log-requests to increase the limit", len(sources), flags.most)
	}
	out := &lines{out: p.Out}
	if !flags.follow {
		for _, from := range sources {
			err = errors.Join(err, copyLog(cmd.Context(), server, set.LWS.Namespace, from, flags, out))
		}
		return err
	}
	failures := make([]error, len(sources))
	var running sync.WaitGroup
	for i, from := range sources {
		running.Go(func() {
			failures[i] = copyLog(cmd.Context(), server, set.LWS.Namespace, from, flags, out)
		})
	}
	running.Wait()
	return errors.Join(failures...)
}

// selectPods returns the pods of groups: all of them, or the leaders, or those with worker indices.
func selectPods(set *view.Set, groups []int32, leader bool, workers []int32) []*corev1.Pod {
	chosen := set.Groups
	if len(groups) > 0 {
		chosen = nil
		for _, index := range groups {
			if group := set.Group(index); group != nil {
				chosen = append(chosen, *group)
			}
		}
	}
	wanted := map[int]bool{0: leader}
	for _, worker := range workers {
		wanted[int(worker)] = true
	}
	var pods []*corev1.Pod
	for _, group := range chosen {
		for worker, pod := range group.Pods {
			if pod != nil && (wanted[worker] || (!leader && len(workers) == 0)) {
				pods = append(pods, pod)
			}
		}
	}
	return pods
}

// defaultContainer is the annotation by which a pod names the container that kubectl means if none is named.
const defaultContainer = "kubectl.kubernetes.io/default-container"

func containerOf(pod *corev1.Pod, named string) string {
	switch {
	case named != "":
		return named
	case pod.Annotations[defaultContainer] != "":
		return pod.Annotations[defaultContainer]
	default:
		return pod.Spec.Containers[0].Name
	}
}

func logSources(pods []*corev1.Pod, flags logFlags) []source {
	var sources []source
	for _, pod := range pods {
		if !flags.all {
			sources = append(sources, source{pod.Name, containerOf(pod, flags.container)})
			continue
		}
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for _, container := range containers {
				sources = append(sources, source{pod.Name, container.Name})
			}
		}
	}
	return sources
}

// lines writes whole lines, from several logs at the same time.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) write(prefix, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.out, prefix+line+"\n")
	return err
}

// copyLog copies the log of one container.
func copyLog(
	ctx context.Context, server *cluster.Cluster, namespace string, from source, flags logFlags, out *lines,
) (err error) {
	options := &corev1.PodLogOptions{
		Container: from.container, Follow: flags.follow, Previous: flags.previous, Timestamps: flags.timestamps,
	}
	if flags.tail >= 0 {
		options.TailLines = ptr.To(flags.tail)
	}
	if flags.since > 0 {
		options.SinceSeconds = ptr.To(max(int64(flags.since.Seconds()), 1))
	}
	stream, err := server.OpenLog(ctx, namespace, from.pod, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	prefix := ""
	if flags.prefix {
		prefix = fmt.Sprintf("[pod/%s/%s] ", from.pod, from.container)
	}
	reader := bufio.NewReader(stream)
	for {
		line, err := reader.ReadString('\n')
		if line != "" {
			if err := out.write(prefix, trimNewline(line)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func trimNewline(line string) string {
	if line[len(line)-1] == '\n' {
		return line[:len(line)-1]
	}
	return line
}
