// Preloaded with `node --require`: whatever the program asks for, it listens on 127.0.0.1 only.
const net = require('node:net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  const callback = rest.find((argument) => typeof argument === 'function');
  const options = typeof first === 'object' ? { ...first } : { port: first };
  return listen.call(this, { ...options, host: '127.0.0.1' }, callback);
};
