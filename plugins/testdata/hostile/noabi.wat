(module
  (memory (export "memory") 2)
  (func (export "ec_filter") (param i32) (result i64) i64.const 0)
)
