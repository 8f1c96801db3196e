package spiderjob

import (
	_ "embed"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

//go:embed launcher.py
var launcherSource string

// launcher is the Python program that runs a spider from a file as part of its project. It is in the Job and Pod of every run
// of a Spider with a repoPath, in at most maxLauncher bytes.
var launcher = withoutComments(launcherSource)

// maxLauncher bounds the launcher in bytes: each of them is stored with every Job and every Pod.
const maxLauncher = 2 << 10

// withoutComments removes what Python does not need: lines that are blank or a comment, and three of the four blanks of each
// level of indentation. No string of the program spans several lines.
func withoutComments(source string) string {
	var out strings.Builder
	for line := range strings.Lines(source) {
		code := strings.TrimLeft(line, " ")
		if strings.TrimSpace(code) == "" || strings.HasPrefix(code, "#") {
			continue
		}
		out.WriteString(strings.Repeat(" ", (len(line)-len(code))/4))
		out.WriteString(code)
	}
	return out.String()
}

// launches reports whether a Spider is run by the launcher: from its file, and without a command of its own.
func (p plan) launches() bool { return p.RepoPath != "" }

// userName is the user name of a spider's process that has none. Python's getpass.getuser() fails without one.
const userName = "spider"

// withUserName adds USER and LOGNAME to the environment of a spider's container, unless they are set or an envFrom could set
// them, which they would override.
func withUserName(env []corev1.EnvVar, sources []corev1.EnvFromSource) []corev1.EnvVar {
	for _, name := range []string{"USER", "LOGNAME"} {
		set := slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
		settable := slices.ContainsFunc(sources, func(s corev1.EnvFromSource) bool { return strings.HasPrefix(name, s.Prefix) })
		if !set && !settable {
			env = append(env, corev1.EnvVar{Name: name, Value: userName})
		}
	}
	return env
}
