// Package transport keeps streams of frames between the nodes of a cluster:
// one TLS 1.3 connection for each, and on it one bidirectional gRPC stream.
//
// # Who is let in
//
// With certificate files both ends show a certificate of the CA. The CA is the
// authority of the cluster: whoever holds a certificate of it for client and
// server use is a node. Host names are not checked, since nodes come and go
// under any address. So the CA must be the cluster's own, or there must be a
// keyring too.
//
// Without files each node makes a certificate of its own for its life, which
// proves nothing. With a keyring both ends then prove that they share a key, by
// an HMAC over what is unique to the TLS session; whoever sits between two
// nodes has two sessions and can pass on neither proof. With files and a
// keyring both are asked for. With neither, only loopback addresses are served
// and dialed, unless Insecure.
//
// # Frames
//
// Frames arrive in the order they were sent, or were dropped: Send never
// blocks, and says so when the queue is full. From then on the stream drops all
// until the queue is empty and Overflowed was called; so what is missing is one
// gap, which begins where Send first refused. A stream that breaks loses what
// was under way.
//
// # Dead peers
//
// gRPC pings an accepted connection on which nothing came for 2 s, and a dialed
// one after 10 s, less than which it does not allow; a ping that is not
// answered within 2 s ends the stream. So does what was sent and not
// acknowledged for 2 s, where the system has a TCP user timeout. Whoever needs
// to know earlier sends frames and listens for theirs.
package transport
