// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	kubectlterm "k8s.io/kubectl/pkg/util/term"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// execFlags are the flags of the verb exec.
type execFlags struct {
	group, worker int32
	container     string
	stdin, tty    bool
}

func (p *plugin) exec() *cobra.Command {
	var flags execFlags
	cmd := &cobra.Command{
		Use:               "exec NAME -g GROUP [-w WORKER] -- COMMAND [args...]",
		Short:             "Run a command in a pod of a group",
		Long:              "Run a command in a pod of a group: in the leader, unless a worker index is given.",
		Example:           "  kubectl lws exec llama -g 1 -w 2 -it -- bash",
		ValidArgsFunction: p.completeSet,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return cmdutil.UsageErrorf(cmd, "expected NAME -- COMMAND [args...]")
			}
			args[0] = trimKind(args[0])
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			server, set, err := p.read(cmd, args[0])
			if err != nil {
				return err
			}
			pod, err := execPod(set, flags)
			if err != nil {
				return err
			}
			return p.runExec(cmd, server, pod, flags, args[1:])
		},
	}
	cmd.Flags().Int32VarP(&flags.group, "group", "g", 0, "Index of the group.")
	cmd.Flags().Int32VarP(&flags.worker, "worker", "w", 0, "Worker index. 0 is the leader.")
	cmd.Flags().StringVarP(&flags.container, "container", "c", "",
		"Name of the container. The first one if it is not set.")
	cmd.Flags().BoolVarP(&flags.stdin, "stdin", "i", false, "Pass the input on to the container.")
	cmd.Flags().BoolVarP(&flags.tty, "tty", "t", false, "The input is a terminal.")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups) // It fails for flags that don't exist only.
	return cmd
}

// execPod returns the pod that the flags name.
func execPod(set *view.Set, flags execFlags) (*corev1.Pod, error) {
	group := set.Group(flags.group)
	switch {
	case group == nil:
		return nil, fmt.Errorf("leaderworkerset %q has no group %d", set.LWS.Name, flags.group)
	case flags.worker < 0 || int(flags.worker) >= len(group.Pods):
		return nil, fmt.Errorf("group %d has no worker %d: it has %d pods, the leader included",
			flags.group, flags.worker, len(group.Pods))
	case group.Pods[flags.worker] == nil:
		return nil, fmt.Errorf("pod %d of group %d doesn't exist", flags.worker, flags.group)
	}
	pod := group.Pods[flags.worker]
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil, fmt.Errorf("cannot exec into a container in a completed pod; current phase is %s", pod.Status.Phase)
	}
	return pod, nil
}

func (p *plugin) runExec(
	cmd *cobra.Command, server *cluster.Cluster, pod *corev1.Pod, flags execFlags, command []string,
) error {
	terminal := kubectlterm.TTY{Out: p.Out}
	if flags.stdin {
		terminal.In = p.In
	}
	terminal.Raw = flags.tty && terminal.IsTerminalIn()
	if flags.tty && !flags.stdin {
		return errors.New("-t needs -i as well")
	}
	options := &corev1.PodExecOptions{
		Container: containerOf(pod, flags.container), Command: command,
		Stdin: flags.stdin, Stdout: true, Stderr: !terminal.Raw, TTY: terminal.Raw,
	}
	streams := remotecommand.StreamOptions{Stdin: terminal.In, Stdout: p.Out, Tty: terminal.Raw}
	if terminal.Raw {
		streams.TerminalSizeQueue = sizes{terminal.MonitorSize(terminal.GetSize())}
	} else {
		streams.Stderr = p.ErrOut
	}
	return terminal.Safe(func() error { return server.Exec(cmd.Context(), pod, options, streams) })
}

// sizes passes the sizes of a terminal on.
type sizes struct{ queue kubectlterm.TerminalSizeQueue }

// Next returns the next size of the terminal; nil at the end.
func (s sizes) Next() *remotecommand.TerminalSize {
	size := s.queue.Next()
	if size == nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: size.Width, Height: size.Height}
}
