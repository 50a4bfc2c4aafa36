;; The inner loops of dump and restore, over one linear memory.
;; Memory 0..32767: sixteen CRC tables of 256 x 8 bytes, filled by kernels.ts. Data starts at 32768.
;; Compiled with `npx wat2wasm kernels.wat` (package wabt) into the base64 text in kernels.ts; crc.test.ts checks every function
;; against published vectors and plain TypeScript.
(module
  (memory (export "memory") 2)

  ;; CRC-64/XZ (reflected polynomial 0xC96C5795D7870F42), sixteen bytes a step. Chains: pass the previous result, 0 at first.
  (func (export "crc64") (param $p i32) (param $n i32) (param $c i64) (result i64)
    (local $end i32) (local $a i64) (local $b i64)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $c (i64.xor (local.get $c) (i64.const -1)))
    (block $done16
      (loop $by16
        (br_if $done16 (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 16)))
        (local.set $a (i64.xor (local.get $c) (i64.load (local.get $p))))
        (local.set $b (i64.load offset=8 (local.get $p)))
        (local.set $c
          (i64.xor
            (i64.xor
              (i64.xor
                (i64.xor
                  (i64.load offset=30720 (i32.shl (i32.and (i32.wrap_i64 (local.get $a)) (i32.const 255)) (i32.const 3)))
                  (i64.load offset=28672 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 5))) (i32.const 2040))))
                (i64.xor
                  (i64.load offset=26624 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 13))) (i32.const 2040)))
                  (i64.load offset=24576 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 21))) (i32.const 2040)))))
              (i64.xor
                (i64.xor
                  (i64.load offset=22528 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 29))) (i32.const 2040)))
                  (i64.load offset=20480 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 37))) (i32.const 2040))))
                (i64.xor
                  (i64.load offset=18432 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 45))) (i32.const 2040)))
                  (i64.load offset=16384 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 53))) (i32.const 2040))))))
            (i64.xor
              (i64.xor
                (i64.xor
                  (i64.load offset=14336 (i32.shl (i32.and (i32.wrap_i64 (local.get $b)) (i32.const 255)) (i32.const 3)))
                  (i64.load offset=12288 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 5))) (i32.const 2040))))
                (i64.xor
                  (i64.load offset=10240 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 13))) (i32.const 2040)))
                  (i64.load offset=8192 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 21))) (i32.const 2040)))))
              (i64.xor
                (i64.xor
                  (i64.load offset=6144 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 29))) (i32.const 2040)))
                  (i64.load offset=4096 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 37))) (i32.const 2040))))
                (i64.xor
                  (i64.load offset=2048 (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 45))) (i32.const 2040)))
                  (i64.load (i32.and (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 53))) (i32.const 2040))))))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (br $by16)))
    (block $done
      (loop $bytes
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $c
          (i64.xor
            (i64.shr_u (local.get $c) (i64.const 8))
            (i64.load
              (i32.shl
                (i32.and
                  (i32.xor (i32.wrap_i64 (local.get $c)) (i32.load8_u (local.get $p)))
                  (i32.const 255))
                (i32.const 3)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $bytes)))
    (i64.xor (local.get $c) (i64.const -1)))

  ;; The product of two residues modulo the CRC's polynomial; the highest bit of a word is the factor of x^0.
  (func $times (param $a i64) (param $b i64) (result i64)
    (local $product i64)
    (block $done
      (loop $bit
        (br_if $done (i64.eqz (local.get $a)))
        (local.set $product
          (i64.xor (local.get $product)
            (i64.and (local.get $b) (i64.shr_s (local.get $a) (i64.const 63)))))
        (local.set $a (i64.shl (local.get $a) (i64.const 1)))
        (local.set $b
          (i64.xor
            (i64.shr_u (local.get $b) (i64.const 1))
            (i64.and
              (i64.sub (i64.const 0) (i64.and (local.get $b) (i64.const 1)))
              (i64.const 0xC96C5795D7870F42))))
        (br $bit)))
    (local.get $product))

  ;; What the CRC-64/XZ of a text adds to that of a longer one in which $n bytes follow it: it times x^(8 $n).
  (func (export "crc64Before") (param $crc i64) (param $n i32) (result i64)
    (local $power i64)
    (local.set $power (i64.const 0x0080000000000000))
    (block $done
      (loop $square
        (br_if $done (i32.eqz (local.get $n)))
        (if (i32.and (local.get $n) (i32.const 1))
          (then (local.set $crc (call $times (local.get $crc) (local.get $power)))))
        (local.set $power (call $times (local.get $power) (local.get $power)))
        (local.set $n (i32.shr_u (local.get $n) (i32.const 1)))
        (br $square)))
    (local.get $crc))

  ;; A BSON array of documents at $p..$end becomes the bare documents, packed at $dst (at or before $p).
  ;; Result: packed length in the low half, number of documents in the high half; -1 when the bytes are no such array.
  (func (export "compact") (param $p i32) (param $end i32) (param $dst i32) (result i64)
    (local $start i32) (local $count i32) (local $len i32)
    (local.set $start (local.get $dst))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 3)) (then (return (i64.const -1))))
        (loop $name
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (if (i32.ge_u (local.get $p) (local.get $end)) (then (return (i64.const -1))))
          (br_if $name (i32.load8_u (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (if (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 5)) (then (return (i64.const -1))))
        (local.set $len (i32.load (local.get $p)))
        (if (i32.lt_u (local.get $len) (i32.const 5)) (then (return (i64.const -1))))
        (if (i32.gt_u (local.get $len) (i32.sub (local.get $end) (local.get $p))) (then (return (i64.const -1))))
        (memory.copy (local.get $dst) (local.get $p) (local.get $len))
        (local.set $dst (i32.add (local.get $dst) (local.get $len)))
        (local.set $p (i32.add (local.get $p) (local.get $len)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $next)))
    (i64.or
      (i64.extend_i32_u (i32.sub (local.get $dst) (local.get $start)))
      (i64.shl (i64.extend_i32_u (local.get $count)) (i64.const 32))))

  (func $round (param $acc i64) (param $lane i64) (result i64)
    (i64.mul
      (i64.rotl
        (i64.add (local.get $acc) (i64.mul (local.get $lane) (i64.const 0xC2B2AE3D27D4EB4F)))
        (i64.const 31))
      (i64.const 0x9E3779B185EBCA87)))

  (func $merge (param $h i64) (param $v i64) (result i64)
    (i64.add
      (i64.mul
        (i64.xor (local.get $h) (call $round (i64.const 0) (local.get $v)))
        (i64.const 0x9E3779B185EBCA87))
      (i64.const 0x85EBCA77C2B2AE63)))

  ;; XXH64, seed 0
  (func $xxh64 (param $p i32) (param $n i32) (result i64)
    (local $end i32) (local $h i64) (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $v4 i64)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (if (i32.ge_u (local.get $n) (i32.const 32))
      (then
        (local.set $v1 (i64.add (i64.const 0x9E3779B185EBCA87) (i64.const 0xC2B2AE3D27D4EB4F)))
        (local.set $v2 (i64.const 0xC2B2AE3D27D4EB4F))
        (local.set $v4 (i64.sub (i64.const 0) (i64.const 0x9E3779B185EBCA87)))
        (loop $stripe
          (local.set $v1 (call $round (local.get $v1) (i64.load (local.get $p))))
          (local.set $v2 (call $round (local.get $v2) (i64.load offset=8 (local.get $p))))
          (local.set $v3 (call $round (local.get $v3) (i64.load offset=16 (local.get $p))))
          (local.set $v4 (call $round (local.get $v4) (i64.load offset=24 (local.get $p))))
          (local.set $p (i32.add (local.get $p) (i32.const 32)))
          (br_if $stripe (i32.ge_u (i32.sub (local.get $end) (local.get $p)) (i32.const 32))))
        (local.set $h
          (i64.add
            (i64.add (i64.rotl (local.get $v1) (i64.const 1)) (i64.rotl (local.get $v2) (i64.const 7)))
            (i64.add (i64.rotl (local.get $v3) (i64.const 12)) (i64.rotl (local.get $v4) (i64.const 18)))))
        (local.set $h (call $merge (local.get $h) (local.get $v1)))
        (local.set $h (call $merge (local.get $h) (local.get $v2)))
        (local.set $h (call $merge (local.get $h) (local.get $v3)))
        (local.set $h (call $merge (local.get $h) (local.get $v4))))
      (else (local.set $h (i64.const 0x27D4EB2F165667C5))))
    (local.set $h (i64.add (local.get $h) (i64.extend_i32_u (local.get $n))))
    (block $done8
      (loop $by8
        (br_if $done8 (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 8)))
        (local.set $h
          (i64.add
            (i64.mul
              (i64.rotl
                (i64.xor (local.get $h) (call $round (i64.const 0) (i64.load (local.get $p))))
                (i64.const 27))
              (i64.const 0x9E3779B185EBCA87))
            (i64.const 0x85EBCA77C2B2AE63)))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (br $by8)))
    (if (i32.ge_u (i32.sub (local.get $end) (local.get $p)) (i32.const 4))
      (then
        (local.set $h
          (i64.add
            (i64.mul
              (i64.rotl
                (i64.xor (local.get $h)
                  (i64.mul (i64.load32_u (local.get $p)) (i64.const 0x9E3779B185EBCA87)))
                (i64.const 23))
              (i64.const 0xC2B2AE3D27D4EB4F))
            (i64.const 0x165667B19E3779F9)))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))))
    (block $done1
      (loop $by1
        (br_if $done1 (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $h
          (i64.mul
            (i64.rotl
              (i64.xor (local.get $h)
                (i64.mul (i64.load8_u (local.get $p)) (i64.const 0x27D4EB2F165667C5)))
              (i64.const 11))
            (i64.const 0x9E3779B185EBCA87)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $by1)))
    (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 33))))
    (local.set $h (i64.mul (local.get $h) (i64.const 0xC2B2AE3D27D4EB4F)))
    (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 29))))
    (local.set $h (i64.mul (local.get $h) (i64.const 0x165667B19E3779F9)))
    (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 32))))

  ;; The sum modulo 2^64 of XXH64 over each document of a packed run: the same for any order of the documents.
  (func (export "contentSum") (param $p i32) (param $n i32) (result i64)
    (local $end i32) (local $sum i64) (local $len i32)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $len (i32.load (local.get $p)))
        (local.set $sum (i64.add (local.get $sum) (call $xxh64 (local.get $p) (local.get $len))))
        (local.set $p (i32.add (local.get $p) (local.get $len)))
        (br $next)))
    (local.get $sum)))
