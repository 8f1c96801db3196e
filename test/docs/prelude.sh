# What bash reads before a page of the documentation, and what it starts does not. Nor is a reader within a make, which would make
# say more than a reader sees.
unset BASH_ENV MAKEFLAGS MAKELEVEL MFLAGS
trap 'echo "$PAGE:$LINENO: exit code $?: $BASH_COMMAND" >&2' ERR

# image IMAGE NAME gives an image that was built for the demo another name on the node, as though it could be pulled by that.
image() {
  ctr --address "$(dirname "$KUBECONFIG")/containerd.sock" --namespace k8s.io images tag --force "docker.io/library/$1" "$2"
}
