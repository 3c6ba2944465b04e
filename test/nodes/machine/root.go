// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// programs is the directory of the node's programs, on the node.
const programs = "/opt/programs"

// kernelSettings are the settings that the kubelet expects. The real settings belong to the whole machine. The node
// sees files with these values instead, so that the kubelet doesn't change the settings.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// enterRoot makes the node's root file system and leaves the host's.
func (m *machine) enterRoot() error {
	// From here on, the node's mounts are invisible to the host.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	root := filepath.Join(m.dir, "root")
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := m.fillRoot(root); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The call stacks the old root on top of the new one, so the next unmount removes the old root.
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := mountGroups(); err != nil {
		return err
	}
	if err := showSettings(); err != nil {
		return err
	}
	// Containers may request mounts that propagate to other namespaces.
	return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// fillRoot mounts the directories below the node's root.
func (m *machine) fillRoot(root string) error {
	for _, name := range []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		if err := shareSystem("/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	in := func(path string) string { return filepath.Join(root, path) }
	return errors.Join(
		bindReadOnly(m.programs, in(programs)),
		mount(filepath.Join(m.dir, "etc"), in("etc"), "", syscall.MS_BIND, ""),
		mount(filepath.Join(m.dir, "var"), in("var"), "", syscall.MS_BIND, ""),
		mount("tmpfs", in("run"), "tmpfs", 0, "mode=755"),
		mount("tmpfs", in("tmp"), "tmpfs", 0, "mode=1777"),
		mount("/dev", in("dev"), "", syscall.MS_BIND|syscall.MS_REC, ""),
		mount("proc", in("proc"), "proc", 0, ""),
		mount("sysfs", in("sys"), "sysfs", 0, ""),
	)
}

// shareSystem adds a directory of the host's operating system to the node's root. On most systems the directory is a
// link, and it may not exist.
func shareSystem(path, target string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return bindReadOnly(path, target)
	}
	destination, err := os.Readlink(path)
	if err != nil {
		return err
	}
	return os.Symlink(destination, target)
}

// showSettings mounts files with the values of kernelSettings over the settings of the kernel.
func showSettings() error {
	const dir = "/run/settings"
	for name, value := range kernelSettings {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		if err := syscall.Mount(file, "/proc/sys/"+name, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over the setting %s: %w", name, err)
		}
	}
	return nil
}

// mount mounts a source on a directory, which it makes.
func mount(source, target, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// bindReadOnly mounts a directory on another one, read-only.
func bindReadOnly(source, target string) error {
	if err := mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	return mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}
