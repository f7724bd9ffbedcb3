//! From bytes to lines, without copying and without holding more of a file than a few blocks.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Bytes that are asked for at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Reads lines that end with `\n`, `\r\n` or the end of the input.
pub(crate) struct Lines<R> {
    input: R,
    max_line_bytes: usize,
    buffer: BytesMut,
    /// How many bytes of the buffer are known to hold no line end.
    searched: usize,
    at_end: bool,
    consumed: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A line, without its end. It shares its memory with its neighbours.
    Line(Bytes),
    /// A line that is longer than allowed. It is not held in memory; [`Lines::skip_rest`] must be called next.
    TooLong,
    /// The input has ended.
    End,
}

impl<R: Read> Lines<R> {
    /// Lines of at most this many bytes.
    pub(crate) fn new(input: R, max_line_bytes: usize) -> Self {
        let buffer = BytesMut::new();
        Self { input, max_line_bytes, buffer, searched: 0, at_end: false, consumed: 0 }
    }

    /// How many bytes of the input the lines so far have taken.
    pub(crate) fn consumed_bytes(&self) -> u64 {
        self.consumed
    }

    /// Whether the next line is at hand, or its coming has to be waited for.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.at_end || self.line_end().is_some()
    }

    /// Bytes that are held: of the lines to come.
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Reads on by one block, unless the next line is at hand. Answers whether it is now.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.is_ready() || self.buffer.len() > self.max_line_bytes {
            return Ok(true);
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled.saturating_add(BLOCK_BYTES), 0);
        let room = self.buffer.get_mut(filled..).unwrap_or_default();
        let read = retry_interrupted(|| self.input.read(room));
        self.buffer.truncate(filled.saturating_add(*read.as_ref().unwrap_or(&0)));
        self.at_end = read? == 0;
        Ok(self.is_ready() || self.buffer.len() > self.max_line_bytes)
    }

    /// The next line.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        while !self.fill()? {}
        let (line, end) = match self.line_end() {
            Some(at) => (at, 1),
            None if self.at_end && self.buffer.is_empty() => return Ok(Next::End),
            None => (self.buffer.len(), 0),
        };
        if line > self.max_line_bytes {
            return Ok(Next::TooLong);
        }
        let mut taken = self.take(line).freeze();
        self.buffer.advance(end);
        self.consumed = self.consumed.saturating_add(end as u64);
        if end == 1 && taken.last() == Some(&b'\r') {
            taken.truncate(taken.len().saturating_sub(1));
        }
        Ok(Next::Line(taken))
    }

    /// Passes over a line that is too long, copying it to `aside` with its line end.
    ///
    /// # Errors
    /// Those of the input, and of `aside`.
    pub(crate) fn skip_rest(&mut self, aside: &mut dyn Write) -> io::Result<()> {
        loop {
            if let Some(at) = self.line_end() {
                let line = self.take(at.saturating_add(1));
                return aside.write_all(&line);
            }
            let part = self.take(self.buffer.len());
            aside.write_all(&part)?;
            drop(part);
            if self.at_end {
                return aside.write_all(b"\n");
            }
            self.fill()?;
        }
    }

    fn take(&mut self, bytes: usize) -> BytesMut {
        self.searched = 0;
        self.consumed = self.consumed.saturating_add(bytes as u64);
        self.buffer.split_to(bytes)
    }

    fn line_end(&mut self) -> Option<usize> {
        let found = memchr(b'\n', self.buffer.get(self.searched..).unwrap_or_default());
        self.searched = found.map_or(self.buffer.len(), |at| self.searched.saturating_add(at));
        found.map(|_| self.searched)
    }
}

fn retry_interrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let taken = self.0.len().min(self.1).min(room.len());
            let (now, later) = self.0.split_at(taken);
            room[..taken].copy_from_slice(now);
            self.0 = later;
            Ok(taken)
        }
    }

    fn all(text: &[u8], at_once: usize, max_line_bytes: usize) -> Vec<Result<Bytes, Vec<u8>>> {
        let mut lines = Lines::new(Trickle(text, at_once), max_line_bytes);
        let mut all = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Line(line) => all.push(Ok(line)),
                Next::TooLong => {
                    let mut aside = Vec::new();
                    lines.skip_rest(&mut aside).unwrap();
                    all.push(Err(aside));
                }
                Next::End => break,
            }
        }
        assert_eq!(lines.consumed_bytes(), text.len() as u64);
        all
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(all(b"a\r\n\nb", 1, 10), [Ok("a".into()), Ok("".into()), Ok("b".into())]);
        assert_eq!(all(b"a\n", 2, 10), [Ok("a".into())]);
        assert!(all(b"", 1, 10).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_in_parts() {
        let long = [vec![b'x'; 3 * BLOCK_BYTES], b"\nnext\n".to_vec()].concat();
        let lines = all(&long, usize::MAX, 10);
        assert_eq!(lines[0].as_ref().unwrap_err().len(), 3 * BLOCK_BYTES + 1);
        assert_eq!(lines[1..], [Ok("next".into())]);
    }

    #[test]
    fn a_long_line_is_not_held_in_memory() {
        let endless = io::repeat(b'x').take(64 << 20);
        let mut lines = Lines::new(endless, 1000);
        assert_eq!(lines.next().unwrap(), Next::TooLong);
        assert!(lines.held_bytes() <= BLOCK_BYTES);
        lines.skip_rest(&mut io::sink()).unwrap();
        assert!(lines.buffer.capacity() <= 4 * BLOCK_BYTES, "{}", lines.buffer.capacity());
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[ab\n\r]{0,60}", at_once in 1..7_usize, limit in 1..8_usize) {
            let expected: Vec<_> = text.split_inclusive('\n').map(|line| {
                let content = line.strip_suffix('\n').unwrap_or(line);
                if content.len() > limit {
                    return Err(format!("{content}\n").into_bytes());
                }
                let content = if line.ends_with('\n') { content.strip_suffix('\r').unwrap_or(content) } else { content };
                Ok(Bytes::copy_from_slice(content.as_bytes()))
            }).collect();
            prop_assert_eq!(all(text.as_bytes(), at_once, limit), expected);
        }
    }
}
