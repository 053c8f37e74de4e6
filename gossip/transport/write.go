package transport

// write sends what is queued until the stream ends.
func (s *Stream) write() {
	defer close(s.written)
	for {
		select {
		case <-s.wake:
		case <-s.ended:
			return
		}
		frames, last := s.take()
		for len(frames) > 0 {
			n, bytes := pack(frames)
			message := frames[:n:n]
			// An error comes out where the stream is received.
			if s.link.SendMsg(&message) != nil {
				return
			}
			if s.sent(n, bytes) {
				s.transport.options.Overflowed(s)
			}
			clear(message)
			frames = frames[n:]
		}
		if last {
			s.link.SendMsg(&[][]byte{})
			return
		}
	}
}

// take takes the queue, and says that nothing follows.
func (s *Stream) take() (frames [][]byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, s.queue = s.queue, nil
	return frames, s.closing != nil
}

// pack returns how many frames go into the next message, and their bytes.
func pack(frames [][]byte) (n, bytes int) {
	for _, f := range frames {
		if n > 0 && bytes+len(f) > packBytes {
			break
		}
		n++
		bytes += len(f)
	}
	return n, bytes
}

// sent gives room to new frames, and says whether the queue has drained after
// some were dropped.
func (s *Stream) sent(frames, bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames -= frames
	s.bytes -= bytes
	drained := s.dropping && s.frames == 0
	if drained {
		s.dropping = false
	}
	return drained
}
